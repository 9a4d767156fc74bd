/*
 * churn/model_sql.h
 *		Models that people can read, as SQL.
 */
#ifndef CHURN_MODEL_SQL_H
#define CHURN_MODEL_SQL_H

#include "churn/model.h"

/*
 * Writes the score of a model as an SQL expression over the columns that it
 * was trained on: PostgreSQL's, with standard_conforming_strings on, in UTF-8.
 * The components must be additive models or single trees; any other model is
 * CHURN_ERROR_UNSUPPORTED.
 *
 * It computes what churn_predictor_margin() and churn_calibrate() do but for
 * the last digits of a double (of a float, if there is no calibration), and
 * has no mind for NaN, infinite dates, texts among numbers that are none, and
 * numbers that are no float and nearer to a border than the next float.
 */
extern bool churn_model_sql(const ChurnModel *model, ChurnArena *arena,
							char **text, ChurnError *error);

#endif							/* CHURN_MODEL_SQL_H */
