/*
 * role.h
 *		Becoming another role for stored SQL, or for writing the registry.
 */
#ifndef CHURN_ROLE_H
#define CHURN_ROLE_H

struct ChurnModelRow;

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

/* Complains unless the caller owns the model, or is a member of who does. */
extern void churn_role_check_owner(const struct ChurnModelRow *model);

#endif							/* CHURN_ROLE_H */
