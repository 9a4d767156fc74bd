/*
 * model_sql.h
 *		What the writers of models as SQL share.
 */
#ifndef CHURN_COMMON_MODEL_SQL_H
#define CHURN_COMMON_MODEL_SQL_H

#include "churn/model_sql.h"
#include "document_internal.h"

/* Text in the making; after a failure nothing more is written. */
typedef struct ChurnSql
{
	ChurnBuffer buffer;
	const ChurnModel *model;
	bool		failed;
} ChurnSql;

extern void churn_sql_text(ChurnSql *sql, const char *text);
extern void churn_sql_double(ChurnSql *sql, double value);
extern void churn_sql_float(ChurnSql *sql, float value);
extern void churn_sql_identifier(ChurnSql *sql, const char *name);
extern void churn_sql_literal(ChurnSql *sql, const char *text);

/*
 * A feature's value: its column, or what computes it.  With as_float, a number
 * is rounded to what the model sees.
 */
extern void churn_sql_feature(ChurnSql *sql, uint32_t feature,
							  bool as_float);

/* A float to compare with or clip to; its type, where that matters, as well. */
extern void churn_sql_bound(ChurnSql *sql, uint32_t feature, float bound,
							bool as_float);

/* "x IN ('a', 'b')" of those codes for which wanted() is true; false if none. */
extern bool churn_sql_in(ChurnSql *sql, uint32_t feature,
						 bool (*wanted) (const void *context, uint32_t code),
						 const void *context);

/* The margins of components, before they are rounded to float. */
extern void churn_sql_additive(ChurnSql *sql, const ChurnAdditive *additive);
extern void churn_sql_tree(ChurnSql *sql, const ChurnForest *forest);

#endif							/* CHURN_COMMON_MODEL_SQL_H */
