/*
 * encoding.c
 *		Texts of models are UTF-8, whatever the database's encoding.
 *
 * The trainer, the model file and the compiled form speak UTF-8, so that they
 * mean the same to Python and to a database of another encoding into which
 * they are restored.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "compat.h"
#include "encoding.h"

/*
 * Whether texts are passed as they are.
 */
static inline bool
is_transparent(void)
{
	return GetDatabaseEncoding() == PG_UTF8 ||
		GetDatabaseEncoding() == PG_SQL_ASCII;
}

/*
 * Text in the database's encoding as UTF-8.
 */
const char *
churn_to_utf8(const char *text, size_t *length)
{
	char	   *result;

	if (is_transparent())
		return text;

	result = pg_server_to_any(text, (int) *length, PG_UTF8);
	if (result != text)
		*length = strlen(result);
	return result;
}

/*
 * UTF-8 in the database's encoding.  The bytes are verified.
 */
const char *
churn_from_utf8(const char *text, size_t *length)
{
	char	   *result;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;

	result = pg_any_to_server(text, (int) *length, PG_UTF8);
	if (result != text)
		*length = strlen(result);
	return result;
}

/*
 * One terminated text in the database's encoding, in memory of arena; NULL
 * with *error set if that is out.
 */
static const char *
convert(const char *text, ChurnArena *arena, ChurnError *error)
{
	size_t		length = strlen(text);
	const char *result = churn_from_utf8(text, &length);

	if (result == text)
		return text;

	return churn_arena_string(arena, result, length, error);
}

/*
 * Converts the categories of a feature, and makes its dictionary anew.
 */
static bool
convert_categories(ChurnFeature *feature, ChurnArena *arena,
				   ChurnError *error)
{
	const char **categories;
	uint32_t	i;

	if (feature->kind != CHURN_FEATURE_CATEGORY)
		return true;
	categories = churn_arena_array(arena, feature->ncategories,
								   sizeof(char *), error);
	if (categories == NULL)
		return false;
	for (i = 0; i < feature->ncategories; i++)
	{
		categories[i] = convert(feature->categories[i], arena, error);
		if (categories[i] == NULL)
			return false;
	}
	feature->categories = categories;
	feature->dictionary = churn_dictionary_make(categories,
												feature->ncategories, arena,
												error);
	return feature->dictionary != NULL;
}

/*
 * Turns the names and categories of a model into the database's encoding.
 */
bool
churn_model_from_utf8(ChurnModel *model, ChurnArena *arena,
					  ChurnError *error)
{
	uint32_t	i;

	if (is_transparent())
		return true;
	for (i = 0; i < model->nfeatures; i++)
	{
		ChurnFeature *feature = &model->features[i];
		bool		transform = feature->transform != NULL;

		feature->name = convert(feature->name, arena, error);
		if (feature->transform != NULL)
			feature->transform = convert(feature->transform, arena, error);
		if (feature->name == NULL ||
			(transform && feature->transform == NULL) ||
			!convert_categories(feature, arena, error))
			return false;
	}
	if (model->as_of_column != NULL)
		model->as_of_column = convert(model->as_of_column, arena, error);
	return model->as_of == CHURN_AS_OF_STATEMENT ||
		model->as_of_column != NULL;
}
