/*
 * role.c
 *		Becoming another role for stored SQL, or for writing the registry.
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "compat.h"
#include "registry.h"
#include "registry_scan.h"
#include "role.h"

/*
 * Becomes a role for stored SQL: nothing it runs can change the session, and
 * names without a schema mean PostgreSQL's own.
 */
ChurnRole
churn_role_become(Oid role)
{
	ChurnRole	saved;

	GetUserIdAndSecContext(&saved.user, &saved.context);
	SetUserIdAndSecContext(role,
						   saved.context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	saved.nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	return saved;
}

/*
 * Becomes the owner of the registry, to write it.
 */
ChurnRole
churn_role_become_owner(void)
{
	Relation	models = churn_registry_open("models");
	Oid			owner = models->rd_rel->relowner;

	table_close(models, NoLock);
	return churn_role_become(owner);
}

/*
 * Undoes churn_role_become().
 */
void
churn_role_restore(ChurnRole saved)
{
	AtEOXact_GUC(false, saved.nestlevel);
	SetUserIdAndSecContext(saved.user, saved.context);
}

/*
 * Complains unless the caller is a member of the model's owner.
 */
void
churn_role_check_reader(const ChurnModelRow *row)
{
	if (has_privs_of_role(GetUserId(), get_role_oid(row->owner, false)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for the source of model \"%s\"",
					row->name),
			 errdetail("It is read as role \"%s\", of which you are no member.",
					   row->owner),
			 errhint("Name a source that you may read: source => '...'.")));
}

/*
 * Becomes the model's owner to read its own source.
 */
ChurnRole
churn_role_become_reader(const ChurnModelRow *row, const char *rows)
{
	if (row->source_query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no source", row->name),
				 errhint("Name a table, view or query with %s: source => '...'.",
						 rows)));
	churn_role_check_reader(row);
	return churn_role_become(get_role_oid(row->owner, false));
}

/*
 * Complains unless the caller owns the model.
 */
void
churn_role_check_owner(const ChurnModelRow *model)
{
	Oid			owner = get_role_oid(model->owner, true);

	if (!OidIsValid(owner) || !has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of model \"%s\"", model->name),
				 errdetail("It belongs to role \"%s\".", model->owner)));
}
