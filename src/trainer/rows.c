/*
 * rows.c
 *		Rows as they arrive, stored by column.
 *
 * Rows go into blocks that double in size up to a limit, the same for all
 * columns, so that a small table with many columns stays small and a large
 * one wastes at most one block.
 */
#include "rows.h"

#include <math.h>
#include <string.h>

#include "channel.h"
#include "churn/hash.h"
#include "memory.h"

#define FIRST_BLOCK		4096
#define LAST_BLOCK		65536

/* Seeds of the hashes; what they are does not matter, but may not change. */
#define CONTENT_SEED	UINT64_C(0x636F6E74656E7400)
#define SECOND_SEED		UINT64_C(0x7365636F6E640000)

/* A place in a frame that is being read. */
typedef struct Cursor
{
	uint8_t    *at;
	const uint8_t *end;
} Cursor;

/* What is read of a row before its values. */
typedef struct RowHead
{
	uint8_t		label;
	float		champion;
	const uint8_t *key;
	uint16_t	key_length;
} RowHead;

void
churn_rows_init(ChurnRows *rows, const ChurnSettings *settings)
{
	size_t		i;

	memset(rows, 0, sizeof(*rows));
	rows->settings = settings;
	rows->columns = churn_alloc(settings->ncolumns, sizeof(ChurnColumn));
	for (i = 0; i < settings->ncolumns; i++)
	{
		const ChurnColumnSettings *column = &settings->columns[i];

		churn_column_init(&rows->columns[i], column);
		rows->fingerprint[0] = churn_hash64(column->name, strlen(column->name),
											rows->fingerprint[0] +
											column->kind);
	}
	rows->fingerprint[1] = ~rows->fingerprint[0];
}

/* Makes room for more rows in the marks and in each column. */
static void
add_block(ChurnRows *rows)
{
	ChurnMarkBlock *block;
	uint32_t	size = FIRST_BLOCK;
	size_t		i;

	if (rows->nblocks > 0)
	{
		size = 2 * rows->blocks[rows->nblocks - 1].rows;
		if (size > LAST_BLOCK)
			size = LAST_BLOCK;
	}
	if (rows->nrows > UINT32_MAX - LAST_BLOCK)
		churn_failure(CHURN_SQLSTATE_LIMIT, NULL,
					  "Train on a sample of the rows.",
					  "cannot train on more than %u rows",
					  UINT32_MAX - LAST_BLOCK);
	rows->blocks = churn_realloc(rows->blocks, rows->nblocks + 1,
								 sizeof(ChurnMarkBlock));
	block = &rows->blocks[rows->nblocks++];
	block->rows = size;
	block->marks = churn_pages_alloc(size * sizeof(ChurnMark));
	block->champion = NULL;
	if (rows->settings->has_champion)
		block->champion = churn_pages_alloc(size * sizeof(float));
	for (i = 0; i < rows->settings->ncolumns; i++)
		churn_column_extend(&rows->columns[i], size);
	rows->fill = 0;
}

void
churn_rows_free_block(ChurnMarkBlock *block)
{
	churn_pages_free(block->marks, block->rows * sizeof(ChurnMark));
	churn_pages_free(block->champion, block->rows * sizeof(float));
	block->marks = NULL;
	block->champion = NULL;
}

static void bad_row(const ChurnRows *rows) __attribute__((noreturn));

/* Ends on a row that the extension should not have sent. */
static void
bad_row(const ChurnRows *rows)
{
	churn_failure(CHURN_SQLSTATE_PROTOCOL, NULL, NULL,
				  "row %llu sent to churn-trainer is malformed",
				  (unsigned long long) rows->nrows + 1);
}

/* Moves the cursor over so many bytes and returns where they are. */
static inline uint8_t *
take_bytes(const ChurnRows *rows, Cursor *cursor, size_t length)
{
	uint8_t    *bytes = cursor->at;

	if ((size_t) (cursor->end - bytes) < length)
		bad_row(rows);
	cursor->at += length;
	return bytes;
}

static inline uint16_t
take_length(const ChurnRows *rows, Cursor *cursor)
{
	uint16_t	length;

	memcpy(&length, take_bytes(rows, cursor, sizeof(length)), sizeof(length));
	return length;
}

/* Reads what comes before a row's values. */
static void
take_head(const ChurnRows *rows, Cursor *cursor, RowHead *head)
{
	memset(head, 0, sizeof(*head));
	head->key = cursor->at;
	head->label = *take_bytes(rows, cursor, 1);
	if (head->label > 1)
		bad_row(rows);
	if (rows->settings->has_champion)
		memcpy(&head->champion, take_bytes(rows, cursor, sizeof(float)),
			   sizeof(float));
	if (rows->settings->has_key)
	{
		head->key_length = take_length(rows, cursor);
		head->key = take_bytes(rows, cursor, head->key_length);
	}
}

/*
 * Reads a float in the frame.  Negative zero and the many kinds of NaN become
 * one in the frame as well, since its bytes are hashed.
 */
static inline float
take_float(const ChurnRows *rows, Cursor *cursor)
{
	uint8_t    *bytes = take_bytes(rows, cursor, sizeof(float));
	float		number;

	memcpy(&number, bytes, sizeof(number));
	if (isnan(number))
		number = NAN;
	number += 0.0f;
	memcpy(bytes, &number, sizeof(number));
	return number;
}

/* Reads the values of a row into row number fill of all columns. */
static void
take_values(ChurnRows *rows, Cursor *cursor)
{
	uint32_t	fill = rows->fill;
	size_t		i;

	for (i = 0; i < rows->settings->ncolumns; i++)
	{
		ChurnColumn *column = &rows->columns[i];
		uint16_t	length;

		if (column->state == CHURN_COLUMN_FLOATS)
		{
			churn_column_put_number(column, fill, take_float(rows, cursor));
			continue;
		}
		length = take_length(rows, cursor);
		if (length <= CHURN_TEXT_MAX)
			churn_column_put_text(column, fill,
								  (char *) take_bytes(rows, cursor, length),
								  length);
		else if (length == CHURN_TEXT_NULL)
			churn_column_put_null(column, fill);
		else if (length == CHURN_TEXT_LONG)
			churn_column_leave_out(column,
								   "it has values longer than 1024 bytes");
		else
			bad_row(rows);
	}
}

_Static_assert(CHURN_TEXT_MAX == 1024, "the text above names the limit");

/*
 * Sets the row's mark and adds it to the fingerprint.  A row without a key is
 * known by its values.
 */
static void
mark_row(ChurnRows *rows, const RowHead *head, const uint8_t *values,
		 size_t length, ChurnMark *mark)
{
	const uint8_t *key = rows->settings->has_key ? head->key : values;
	size_t		key_length = rows->settings->has_key ? head->key_length :
	length;
	uint64_t	parts[3];

	mark->key = churn_hash64(key, key_length, rows->settings->split_seed);
	parts[0] = churn_hash64(values, length, CONTENT_SEED);
	parts[1] = churn_hash64(head->key, head->key_length, CONTENT_SEED);
	parts[2] = head->label;
	mark->content = (parts[0] & ~UINT64_C(1)) | head->label;
	rows->fingerprint[0] += churn_hash64(parts, sizeof(parts), CONTENT_SEED);
	parts[0] = churn_hash64(values, length, SECOND_SEED);
	parts[1] = churn_hash64(head->key, head->key_length, SECOND_SEED);
	rows->fingerprint[1] += churn_hash64(parts, sizeof(parts), SECOND_SEED);
}

void
churn_rows_take(ChurnRows *rows, uint8_t *payload, uint32_t length)
{
	Cursor		cursor = {payload, payload + length};
	ChurnMarkBlock *block;
	const uint8_t *values;
	RowHead		head;

	while (cursor.at < cursor.end)
	{
		if (rows->nblocks == 0 ||
			rows->fill == rows->blocks[rows->nblocks - 1].rows)
			add_block(rows);
		block = &rows->blocks[rows->nblocks - 1];
		take_head(rows, &cursor, &head);
		values = cursor.at;
		take_values(rows, &cursor);
		mark_row(rows, &head, values, (size_t) (cursor.at - values),
				 &block->marks[rows->fill]);
		if (block->champion != NULL)
			block->champion[rows->fill] = head.champion;
		rows->fill++;
		rows->nrows++;
		rows->positives += head.label;
	}
}
