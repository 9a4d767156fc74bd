/*
 * role.h
 *		Becoming another role for stored SQL, or for writing the registry.
 */
#ifndef CHURN_ROLE_H
#define CHURN_ROLE_H

#include "registry.h"

typedef struct ChurnRole
{
	Oid			user;
	int			context;
	int			nestlevel;
} ChurnRole;

/*
 * Becomes the role, security-restricted and with a safe search_path; or the
 * owner of the registry's tables.  An error in between restores everything by
 * itself.
 */
extern ChurnRole churn_role_become(Oid role);
extern ChurnRole churn_role_become_owner(void);
extern void churn_role_restore(ChurnRole saved);

/*
 * Becomes the model's owner to read its own source, which is SQL that somebody
 * stored.  A model without one, and a caller who is no member of that role and
 * so might learn of rows that they may not read, are errors.  rows is what the
 * hint asks for in place of it: "rows".
 */
extern ChurnRole churn_role_become_reader(const ChurnModelRow *row,
										  const char *rows);

/* Complains unless the caller is a member of the model's owner. */
extern void churn_role_check_reader(const ChurnModelRow *row);

/* Complains unless the caller owns the model, or is a member of who does. */
extern void churn_role_check_owner(const ChurnModelRow *model);

#endif							/* CHURN_ROLE_H */
