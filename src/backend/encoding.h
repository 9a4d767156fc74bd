/*
 * encoding.h
 *		Texts of models are UTF-8, whatever the database's encoding.
 */
#ifndef CHURN_ENCODING_H
#define CHURN_ENCODING_H

#include "churn/model.h"

/*
 * Text in the database's encoding as UTF-8, and back.  length is that of the
 * text, and becomes that of the result, which is the argument itself where
 * nothing has to be done and else new and terminated, in the current memory
 * context.  A database of encoding SQL_ASCII has its bytes passed as they are.
 */
extern const char *churn_to_utf8(const char *text, size_t *length);
extern const char *churn_from_utf8(const char *text, size_t *length);

/*
 * Turns the names and categories of a model into the database's encoding, in
 * memory of arena.  False with *error set if memory is out; a text that the
 * encoding does not have is thrown as an error.
 */
extern bool churn_model_from_utf8(ChurnModel *model, ChurnArena *arena,
								  ChurnError *error);

#endif							/* CHURN_ENCODING_H */
