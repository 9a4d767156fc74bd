/*
 * stream_errors.c
 *		Rows of churn.errors.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/elog.h"
#include "utils/pg_lsn.h"

#include "compat.h"
#include "role.h"
#include "stream_errors.h"

/*
 * A text parameter, or NULL.
 */
static Datum
text_or_null(const char *string, char *is_null)
{
	*is_null = string == NULL ? 'n' : ' ';
	return string == NULL ? (Datum) 0 : CStringGetTextDatum(string);
}

/*
 * Writes a row of churn.errors; see stream_errors.h.
 */
void
churn_stream_error_row(const char *kind, const char *model,
					   const char *relation, const char *key, XLogRecPtr lsn,
					   const ErrorData *error)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, LSNOID,
	TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[9];
	char		nulls[9];
	ChurnRole	saved;

	values[0] = text_or_null(kind, &nulls[0]);
	values[1] = text_or_null(model, &nulls[1]);
	values[2] = text_or_null(relation, &nulls[2]);
	values[3] = text_or_null(key, &nulls[3]);
	values[4] = LSNGetDatum(lsn);
	nulls[4] = XLogRecPtrIsInvalid(lsn) ? 'n' : ' ';
	values[5] = text_or_null(unpack_sql_state(error->sqlerrcode), &nulls[5]);
	values[6] = text_or_null(error->message != NULL ? error->message :
							 "unknown error", &nulls[6]);
	values[7] = text_or_null(error->detail, &nulls[7]);
	values[8] = text_or_null(error->hint, &nulls[8]);
	saved = churn_role_become_owner();
	SPI_execute_with_args("INSERT INTO churn.errors (kind, model, relation,"
						  " customer_key, lsn, sqlstate, message, detail, hint)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
						  lengthof(types), types, values, nulls, false, 0);
	churn_role_restore(saved);
}

/*
 * Whether a model has such a row since it is watched; see stream_errors.h.
 */
bool
churn_stream_error_is_known(const char *kind, const char *model,
							const char *relation, const char *message)
{
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[4];
	char		nulls[4];
	ChurnRole	saved = churn_role_become_owner();

	values[0] = text_or_null(kind, &nulls[0]);
	values[1] = text_or_null(model, &nulls[1]);
	values[2] = text_or_null(relation, &nulls[2]);
	values[3] = text_or_null(message, &nulls[3]);
	SPI_execute_with_args("SELECT FROM churn.errors e WHERE kind = $1 AND model = $2"
						  " AND relation IS NOT DISTINCT FROM $3 AND message = $4"
						  " AND occurred_at >= (SELECT min(w.created_at)"
						  " FROM churn.watches w WHERE w.model = $2"
						  " AND ($3 IS NULL OR w.relation = $3)) LIMIT 1",
						  lengthof(types), types, values, nulls, true, 1);
	churn_role_restore(saved);
	return SPI_processed > 0;
}

/*
 * Whether the last row says that a batch failed for the same reason; see
 * stream_errors.h.
 */
bool
churn_stream_error_repeats(const char *message)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(message)};
	ChurnRole	saved = churn_role_become_owner();

	SPI_execute_with_args("SELECT FROM (SELECT kind, message FROM churn.errors"
						  " ORDER BY error_id DESC LIMIT 1) e"
						  " WHERE kind = 'batch' AND message = $1",
						  1, types, values, NULL, true, 1);
	churn_role_restore(saved);
	return SPI_processed > 0;
}

/*
 * A row for what is no error of a statement.
 */
void
churn_stream_error_text(const char *kind, const char *model,
						const char *relation, int sqlstate,
						const char *message, const char *detail,
						const char *hint)
{
	ErrorData	error = {0};

	error.sqlerrcode = sqlstate;
	error.message = unconstify(char *, message);
	error.detail = unconstify(char *, detail);
	error.hint = unconstify(char *, hint);
	churn_stream_error_row(kind, model, relation, NULL, InvalidXLogRecPtr,
						   &error);
}
