/*
 * model_sql.c
 *		Models that people can read, as SQL.
 */
#include "model_sql.h"

#include <stdlib.h>
#include <string.h>

#include "decimal.h"

void
churn_sql_text(ChurnSql *sql, const char *text)
{
	if (!sql->failed &&
		!churn_buffer_append(&sql->buffer, text, strlen(text)))
		sql->failed = true;
}

/* Writes n times the same character. */
static void
put_zeros(ChurnSql *sql, int n)
{
	for (; n > 0; n--)
		churn_sql_text(sql, "0");
}

/*
 * Writes a number as people do, 18 and 0.05, where the text of decimal.h may
 * be 1.8E1 and 5E-2.  Very large and very small ones keep their exponent.
 */
static void
put_number(ChurnSql *sql, char *text)
{
	char		digits[CHURN_DECIMAL_SIZE];
	char		digit[2] = "";
	const char *end = strpbrk(text, "Ee");
	int			exponent = end != NULL ? atoi(end + 1) : 0;
	int			n = 0;
	int			point = -1;		/* digits before it */
	const char *p;

	if (end == NULL)
		end = text + strlen(text);
	for (p = text; p < end; p++)
	{
		if (*p == '.')
			point = n;
		else if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	}
	point = (point < 0 ? n : point) + exponent;
	while (n > 1 && n > point && digits[n - 1] == '0')
		n--;
	if (point < -8 || point > 17)
	{
		churn_sql_text(sql, text);
		return;
	}
	churn_sql_text(sql, text[0] == '-' ? "-" : "");
	if (point <= 0)
	{
		churn_sql_text(sql, "0.");
		put_zeros(sql, -point);
	}
	for (p = digits; p < digits + n; p++)
	{
		if (p == digits + point && p > digits)
			churn_sql_text(sql, ".");
		digit[0] = *p;
		churn_sql_text(sql, digit);
	}
	put_zeros(sql, point - n);
}

void
churn_sql_double(ChurnSql *sql, double value)
{
	char		text[CHURN_DECIMAL_SIZE];

	churn_decimal_write_double(text, value);
	put_number(sql, text);
}

void
churn_sql_float(ChurnSql *sql, float value)
{
	char		text[CHURN_DECIMAL_SIZE];

	churn_decimal_write_float(text, value);
	put_number(sql, text);
}

/* Writes text between quotes, doubling those in it. */
static void
put_quoted(ChurnSql *sql, const char *text, char quote)
{
	char		piece[3] = {quote, '\0', '\0'};

	churn_sql_text(sql, piece);
	for (; *text != '\0'; text++)
	{
		piece[0] = *text;
		piece[1] = *text == quote ? quote : '\0';
		churn_sql_text(sql, piece);
	}
	piece[0] = quote;
	piece[1] = '\0';
	churn_sql_text(sql, piece);
}

void
churn_sql_identifier(ChurnSql *sql, const char *name)
{
	put_quoted(sql, name, '"');
}

void
churn_sql_literal(ChurnSql *sql, const char *text)
{
	put_quoted(sql, text, '\'');
}

/* A number of UTC days: of a date, or of a moment with or without a zone. */
static void
put_day(ChurnSql *sql, const char *column)
{
	churn_sql_text(sql, "floor(extract(epoch FROM ");
	if (column == NULL)
		churn_sql_text(sql, "statement_timestamp()");
	else
		churn_sql_identifier(sql, column);
	churn_sql_text(sql, ") / 86400)");
}

/* True if all values of the feature are small integers, which need no cast. */
static bool
is_integer(const ChurnFeature *feature)
{
	return feature->kind == CHURN_FEATURE_AGE ||
		strcmp(feature->type, "integer") == 0 ||
		strcmp(feature->type, "smallint") == 0;
}

void
churn_sql_feature(ChurnSql *sql, uint32_t feature, bool as_float)
{
	const ChurnFeature *of = &sql->model->features[feature];
	const bool	text_number = (of->flags & CHURN_FEATURE_TEXT_NUMBER) != 0;

	if (of->kind == CHURN_FEATURE_AGE && of->transform == NULL)
	{
		churn_sql_text(sql, "(");
		put_day(sql, sql->model->as_of == CHURN_AS_OF_COLUMN ?
				sql->model->as_of_column : NULL);
		churn_sql_text(sql, " - ");
		put_day(sql, of->name);
		churn_sql_text(sql, ")");
		return;
	}
	if (text_number)
		churn_sql_text(sql, "nullif(btrim(");
	if (of->transform != NULL)
	{
		churn_sql_text(sql, "(");
		churn_sql_text(sql, of->transform);
		churn_sql_text(sql, ")");
	}
	else
		churn_sql_identifier(sql, of->name);
	if (text_number)
		churn_sql_text(sql, as_float ? "), '')::real" :
					   "), '')::double precision");
	else if (as_float && of->kind == CHURN_FEATURE_NUMBER &&
			 !is_integer(of) && strcmp(of->type, "real") != 0)
		churn_sql_text(sql, "::real");
}

/*
 * A float's shortest text is another number when it is read as a numeric or
 * double: where it meets values of type real, it must be one.
 */
void
churn_sql_bound(ChurnSql *sql, uint32_t feature, float bound, bool as_float)
{
	const ChurnFeature *of = &sql->model->features[feature];
	bool		typed = as_float ? !is_integer(of) :
	strcmp(of->type, "real") == 0;

	/* quoted, since a sign binds less tightly than a cast */
	churn_sql_text(sql, typed ? "'" : "");
	churn_sql_float(sql, bound);
	churn_sql_text(sql, typed ? "'::real" : "");
}

bool
churn_sql_in(ChurnSql *sql, uint32_t feature,
			 bool (*wanted) (const void *context, uint32_t code),
			 const void *context)
{
	const ChurnFeature *of = &sql->model->features[feature];
	uint32_t	n = 0;
	uint32_t	first = 0;
	uint32_t	c;

	for (c = of->ncategories; c-- > 0;)
	{
		if (!wanted(context, c))
			continue;
		first = c;
		n++;
	}
	if (n == 0)
		return false;
	churn_sql_feature(sql, feature, false);
	churn_sql_text(sql, n == 1 ? " = " : " IN (");
	for (c = first; c < of->ncategories; c++)
	{
		if (!wanted(context, c))
			continue;
		if (c > first)
			churn_sql_text(sql, ", ");
		churn_sql_literal(sql, of->categories[c]);
	}
	if (n > 1)
		churn_sql_text(sql, ")");
	return true;
}

/* True if a component is one that people can read. */
static bool
is_readable(const ChurnComponent *component)
{
	return component->kind == CHURN_COMPONENT_ADDITIVE ||
		(component->kind == CHURN_COMPONENT_FOREST &&
		 component->forest->ntrees == 1 && !component->forest->dart);
}

/* The margin, rounded to float as the model's is. */
static void
put_margin(ChurnSql *sql)
{
	const ChurnModel *model = sql->model;
	uint32_t	i;

	for (i = 0; i < model->ncomponents; i++)
	{
		const ChurnComponent *component = &model->components[i];
		bool		plain = model->ncomponents == 1 &&
		component->weight == 1 && component->offset == 0;

		churn_sql_text(sql, i > 0 ? " + " : plain ? "" : "(");
		if (!plain)
		{
			churn_sql_double(sql, component->weight);
			churn_sql_text(sql, " * ");
		}
		churn_sql_text(sql, "(");
		if (component->kind == CHURN_COMPONENT_ADDITIVE)
			churn_sql_additive(sql, component->additive);
		else
			churn_sql_tree(sql, component->forest);
		churn_sql_text(sql, ")::real");
		if (component->offset != 0)
		{
			churn_sql_text(sql, " + ");
			churn_sql_double(sql, component->offset);
		}
		if (!plain && i == model->ncomponents - 1)
			churn_sql_text(sql, ")::real");
	}
}

/* Log-odds of an isotonic calibration: a line between each two knots. */
static void
put_isotonic(ChurnSql *sql, const ChurnCalibration *calibration)
{
	uint32_t	i;

	churn_sql_text(sql, "CASE");
	for (i = 0; i <= calibration->nknots; i++)
	{
		uint32_t	from = i > 0 ? i - 1 : 0;
		bool		inner = i > 0 && i < calibration->nknots;

		churn_sql_text(sql, i < calibration->nknots ? "\n  WHEN margin < " :
					   "\n  ELSE ");
		if (i < calibration->nknots)
		{
			churn_sql_double(sql, calibration->margins[i]);
			churn_sql_text(sql, " THEN ");
		}
		churn_sql_double(sql, calibration->logits[from]);
		churn_sql_text(sql, " + (margin - (");
		churn_sql_double(sql, calibration->margins[from]);
		churn_sql_text(sql, "))");
		if (!inner)
			continue;
		churn_sql_text(sql, " / (");
		churn_sql_double(sql, calibration->margins[i]);
		churn_sql_text(sql, " - (");
		churn_sql_double(sql, calibration->margins[from]);
		churn_sql_text(sql, ")) * (");
		churn_sql_double(sql, calibration->logits[i]);
		churn_sql_text(sql, " - (");
		churn_sql_double(sql, calibration->logits[from]);
		churn_sql_text(sql, "))");
	}
	churn_sql_text(sql, "\n  END");
}

/* Calibrated log-odds of what is called margin. */
static void
put_logit(ChurnSql *sql, const ChurnCalibration *calibration)
{
	if (calibration->kind == CHURN_CALIBRATION_ISOTONIC)
	{
		put_isotonic(sql, calibration);
		return;
	}
	churn_sql_double(sql, calibration->c);
	if (calibration->a > 0)
	{
		churn_sql_text(sql, " + -");
		churn_sql_double(sql, calibration->a);
		churn_sql_text(sql, " * ln(1 + exp(-margin))");
	}
	if (calibration->b > 0)
	{
		churn_sql_text(sql, " + ");
		churn_sql_double(sql, calibration->b);
		churn_sql_text(sql, " * ln(1 + exp(margin))");
	}
}

/* The score. */
static void
put_score(ChurnSql *sql)
{
	const ChurnCalibration *calibration = &sql->model->calibration;

	switch (calibration->kind)
	{
		case CHURN_CALIBRATION_NONE:
			churn_sql_text(sql, "1 / (1 + exp(-");
			put_margin(sql);
			churn_sql_text(sql, "))");
			break;
		case CHURN_CALIBRATION_PLATT:
			churn_sql_text(sql, "1 / (1 + exp(-(");
			churn_sql_double(sql, calibration->a);
			churn_sql_text(sql, " * ");
			put_margin(sql);
			churn_sql_text(sql, " + ");
			churn_sql_double(sql, calibration->b);
			churn_sql_text(sql, ")))");
			break;
		case CHURN_CALIBRATION_BETA:
		case CHURN_CALIBRATION_ISOTONIC:
			churn_sql_text(sql, "(SELECT 1 / (1 + exp(-(");
			put_logit(sql, calibration);
			churn_sql_text(sql, ")))\n FROM (SELECT ");
			put_margin(sql);
			churn_sql_text(sql, "::double precision AS margin) AS model)");
			break;
	}
}

bool
churn_model_sql(const ChurnModel *model, ChurnArena *arena, char **text,
				ChurnError *error)
{
	ChurnSql	sql = {.model = model};
	uint32_t	i;

	for (i = 0; i < model->ncomponents; i++)
	{
		if (!is_readable(&model->components[i]))
			return churn_fail(error, CHURN_ERROR_UNSUPPORTED,
							  "a model of algorithm \"%s\" cannot be written as SQL",
							  model->components[i].algorithm);
	}
	sql.buffer.arena = arena;
	sql.buffer.error = error;
	put_score(&sql);
	if (sql.failed || !churn_buffer_append(&sql.buffer, "", 1))
		return false;
	*text = (char *) sql.buffer.bytes;
	return true;
}
