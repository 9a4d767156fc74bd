/*
 * role.h
 *		Becoming another role for stored SQL, or for writing the registry.
 */
#ifndef CHURN_ROLE_H
#define CHURN_ROLE_H

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

#endif							/* CHURN_ROLE_H */
