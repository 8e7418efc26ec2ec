/* json.h -- reading and writing JSON with jansson, under a limit on memory. By itself jansson ends the process, or drops a key in
 * silence, when an allocation fails in the wrong place; and a text of small values becomes fifty times its size in memory. Here all
 * values of a text lie in one heap that has a limit and is freed as a whole. What does not fit is an error, after which nothing of
 * jansson runs on. */
#ifndef MS_JSON_H
#define MS_JSON_H
#include <jansson.h>
#include <stdbool.h>

typedef struct ms_json ms_json;

/* The n bytes of text as a document; flags are jansson's (JSON_REJECT_DUPLICATES is always on). Its values may take 64 MB and 32
 * times the text. NULL: *why tells line, column, position and text as jansson does; line is -1 when it is memory that lacks. Else
 * why->position tells how many bytes were read, which with JSON_DISABLE_EOF_CHECK need not be all. */
ms_json *ms_json_parse(const char *text, size_t n, size_t flags, json_error_t *why);
json_t *ms_json_root(const ms_json *d); /* belongs to the document: no json_decref */
void ms_json_free(ms_json *d);          /* NULL is well */

/* What make(data) builds of jansson's values, as text in memory of malloc; its own errors (NULL) are left to it. flags are
 * jansson's. NULL and *no_memory when memory lacks. */
char *ms_json_write(json_t *(*make)(void *data), void *data, size_t flags, bool *no_memory);

#endif
