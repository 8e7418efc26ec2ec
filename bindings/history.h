/* history.h -- the file where the prompt keeps what was typed: one entry a line, "\n" and "\\" for a line break and a backslash. */
#ifndef MASCON_HISTORY_H
#define MASCON_HISTORY_H

/* Path of the file, its folders made; NULL when there is no home to put it in. Static storage. */
const char *ms_history_path(void);

/* Call each(data, entry) for every entry, oldest first; a file grown past twice `keep` entries is cut to its last `keep`. */
void ms_history_load(const char *path, int keep, void (*each)(void *data, const char *entry), void *data);

/* Append one entry by a single write, so that two prompts at once do not tear each other's lines. */
void ms_history_append(const char *path, const char *entry);

#endif
