/*
 * key.c
 *		Keys of customers as text, by whose hash rows are split.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "churn/protocol.h"

#include "compat.h"
#include "encoding.h"
#include "key.h"

StaticAssertDecl(CHURN_KEY_BUFFER > MAXDATELEN, "a date has to fit");

/*
 * Prepares to read keys.
 */
void
churn_key_init(ChurnKey *key, Form_pg_attribute column)
{
	Oid			output;
	bool		varlena;

	key->name = pstrdup(NameStr(column->attname));
	key->type = getBaseType(column->atttypid);
	getTypeOutputInfo(column->atttypid, &output, &varlena);
	fmgr_info_cxt(output, &key->output, CurrentMemoryContext);
}

/*
 * Complains of a key that the split cannot use.
 */
static void
long_key(const ChurnKey *key, Size length)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("key of %zu bytes in column \"%s\" exceeds the limit of %d bytes",
					length, key->name, CHURN_TEXT_MAX),
			 errhint("Name another column that identifies a customer: key => '...'.")));
}

/*
 * The text of a key.  A customer's side of the split hangs on it, so dates and
 * times are written in ISO form and UTC whatever the session's settings; other
 * types by their own output functions.
 */
const char *
churn_key_text(ChurnKey *key, Datum value, char *buffer, size_t *length)
{
	const char *string = buffer;
	int			utc = 0;		/* seconds west of Greenwich */

	switch (key->type)
	{
		case INT2OID:
			*length = pg_itoa(DatumGetInt16(value), buffer);
			break;
		case INT4OID:
			*length = pg_ltoa(DatumGetInt32(value), buffer);
			break;
		case INT8OID:
			*length = pg_lltoa(DatumGetInt64(value), buffer);
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			JsonEncodeDateTime(buffer, value, key->type,
							   key->type == TIMESTAMPTZOID ? &utc : NULL);
			*length = strlen(buffer);
			break;
		case TEXTOID:
		case VARCHAROID:
			*length = toast_raw_datum_size(value) - VARHDRSZ;
			if (*length <= CHURN_TEXT_MAX)
				string = VARDATA_ANY(PG_DETOAST_DATUM_PACKED(value));
			break;
		default:
			string = OutputFunctionCall(&key->output, value);
			*length = strlen(string);
			break;
	}
	if (*length > CHURN_TEXT_MAX)
		long_key(key, *length);
	return churn_to_utf8(string, length);
}
