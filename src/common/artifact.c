/*
 * artifact.c
 *		Artifacts as documents: reading, writing, what describes the model.
 */
#include "artifact_internal.h"

#include <ctype.h>
#include <string.h>

/*
 * Tells the format by the first bytes and reads the document.
 */
static ChurnValue *
read_document(ChurnArtifact *artifact, const uint8_t *bytes, size_t length,
			  ChurnArena *arena, ChurnError *error)
{
	size_t		i = 1;

	if (length >= 4 && memcmp(bytes, "binf", 4) == 0)
	{
		churn_fail(error, CHURN_ERROR_UNSUPPORTED,
				   "model file is in XGBoost's old binary format, not JSON or UBJSON");
		return NULL;
	}
	if (length < 2 || bytes[0] != '{')
	{
		churn_fail(error, CHURN_ERROR_CORRUPT,
				   "not a model file: neither JSON nor UBJSON");
		return NULL;
	}
	while (i < length && isspace(bytes[i]))
		i++;
	if (i < length && (bytes[i] == '"' || bytes[i] == '}'))
	{
		artifact->format = CHURN_ARTIFACT_JSON;
		return churn_json_read((const char *) bytes, length, arena, error);
	}
	artifact->format = CHURN_ARTIFACT_UBJSON;
	return churn_ubjson_read(bytes, length, arena, error);
}

/*
 * Prepares a document of our own.  The version is that of its first forest.
 */
static bool
prepare_components(ChurnArtifact *artifact, ChurnArena *arena,
				   ChurnError *error)
{
	const ChurnValue *components = churn_value_get(artifact->document,
												   "components");

	if (components->kind != CHURN_VALUE_ARRAY || components->length == 0)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "\"components\" of the model file is no list of any");
	if (components->length > CHURN_MAX_COMPONENTS)
		return churn_fail(error, CHURN_ERROR_LIMIT,
						  "model file has %zu components, more than %d",
						  components->length, CHURN_MAX_COMPONENTS);
	if (!churn_artifact_type_description(churn_value_get(artifact->document,
														 "churn"), arena,
										 error))
		return false;
	for (size_t i = components->length; i > 0; i--)
	{
		const ChurnValue *component = components->u.elements[i - 1];
		const ChurnValue *booster = churn_value_get(component, "xgboost");

		if (!churn_artifact_type_component(component, arena, error) ||
			(booster != NULL &&
			 !churn_xgboost_prepare(booster, artifact->version, arena,
									error)))
			return false;
	}
	return true;
}

/*
 * Reads a model file.
 */
ChurnArtifact *
churn_artifact_read(const uint8_t *bytes, size_t length, ChurnArena *arena,
					ChurnError *error)
{
	ChurnArtifact *artifact;

	if (length > CHURN_MAX_MODEL_BYTES)
	{
		churn_fail(error, CHURN_ERROR_LIMIT,
				   "model file of %zu bytes exceeds the limit of %u",
				   length, CHURN_MAX_MODEL_BYTES);
		return NULL;
	}
	artifact = churn_arena_alloc(arena, sizeof(ChurnArtifact), error);
	if (artifact == NULL)
		return NULL;
	artifact->document = read_document(artifact, bytes, length, arena, error);
	if (artifact->document == NULL)
		return NULL;
	if (churn_value_get(artifact->document, "components") != NULL)
		artifact->kind = CHURN_ARTIFACT_COMPONENTS;
	if (artifact->kind == CHURN_ARTIFACT_BOOSTER ?
		!churn_xgboost_prepare(artifact->document, artifact->version, arena,
							   error) :
		!prepare_components(artifact, arena, error))
		return NULL;
	return artifact;
}

/*
 * Writes a model file.
 */
bool
churn_artifact_write(const ChurnArtifact *artifact,
					 ChurnArtifactFormat format, ChurnArena *arena,
					 uint8_t **bytes, size_t *length, ChurnError *error)
{
	char	   *text;

	if (format == CHURN_ARTIFACT_UBJSON)
		return churn_xgboost_write_ubjson(artifact->document, arena, bytes,
										  length, error);
	if (!churn_json_write(artifact->document, arena, &text, length, error))
		return false;
	*bytes = (uint8_t *) text;
	return true;
}

/*
 * Returns a booster attribute.
 */
const char *
churn_artifact_attribute(const ChurnArtifact *artifact, const char *name)
{
	const ChurnValue *learner = churn_value_get(artifact->document,
												"learner");

	return churn_value_text(churn_value_get(learner, "attributes"), name,
							NULL);
}

/*
 * Sets a booster attribute, which Python finds as Booster.attr(name).
 */
bool
churn_artifact_set_attribute(ChurnArtifact *artifact, const char *name,
							 const char *text, ChurnArena *arena,
							 ChurnError *error)
{
	ChurnValue *learner = churn_value_get(artifact->document, "learner");
	ChurnValue *attributes = churn_value_get(learner, "attributes");

	if (attributes == NULL || attributes->kind != CHURN_VALUE_OBJECT)
	{
		attributes = churn_value_object(arena, error);
		if (!churn_value_set(learner, "attributes", attributes, arena, error))
			return false;
	}
	return churn_value_set(attributes, name,
						   churn_value_string(arena, text, error), arena,
						   error);
}

/*
 * Finds the object "churn": in a booster the text of an attribute.
 */
bool
churn_artifact_description(const ChurnArtifact *artifact, ChurnValue **object,
						   ChurnArena *arena, ChurnError *error)
{
	const char *text;
	ChurnError	problem;

	if (artifact->kind == CHURN_ARTIFACT_COMPONENTS)
	{
		*object = churn_value_get(artifact->document, "churn");
		if (*object != NULL && (*object)->kind != CHURN_VALUE_OBJECT)
			return churn_fail(error, CHURN_ERROR_CORRUPT,
							  "member \"churn\" is no JSON object");
		return true;
	}
	*object = NULL;
	text = churn_artifact_attribute(artifact, "churn");
	if (text == NULL)
		return true;
	*object = churn_json_read(text, strlen(text), arena, &problem);
	if (*object == NULL)
		return churn_fail(error, problem.code,
						  "booster attribute \"churn\": %s",
						  problem.message);
	if ((*object)->kind != CHURN_VALUE_OBJECT)
		return churn_fail(error, CHURN_ERROR_CORRUPT,
						  "booster attribute \"churn\" is no JSON object");
	return true;
}

/*
 * Sets the object "churn".
 */
bool
churn_artifact_describe(ChurnArtifact *artifact, ChurnValue *object,
						ChurnArena *arena, ChurnError *error)
{
	char	   *text;
	size_t		length;

	if (artifact->kind == CHURN_ARTIFACT_COMPONENTS)
		return churn_value_set(artifact->document, "churn", object, arena,
							   error);
	return churn_json_write(object, arena, &text, &length, error) &&
		churn_artifact_set_attribute(artifact, "churn", text, arena, error);
}
