/*
 * arguments.c
 *		Arguments and results of functions that SQL calls.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "arguments.h"

/*
 * A text argument; see arguments.h.
 */
char *
churn_argument_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * A version; see arguments.h.
 */
int
churn_argument_version(FunctionCallInfo fcinfo, int argument)
{
	int			version;

	if (PG_NARGS() <= argument || PG_ARGISNULL(argument))
		return 0;
	version = PG_GETARG_INT32(argument);
	if (version < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %d is out of range", version),
				 errhint("Versions count from 1.")));
	return version;
}

/*
 * A number of a result; see arguments.h.
 */
void
churn_result_number(double number, Datum *value, bool *isnull)
{
	*value = Float8GetDatum(number);
	*isnull = isnan(number);
}
