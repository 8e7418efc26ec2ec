/* keys.h -- keys of the prompt beyond libedit's own: Up and Down that keep to what began like the text typed, and paste as one
 * piece. */
#ifndef MASCON_KEYS_H
#define MASCON_KEYS_H
#include <histedit.h>
#include <lua.h>
#include <stdbool.h>

/* The client data of the EditLine begin with this. */
typedef struct ms_keys {
  History *history;
  char *prefix; /* what recalled entries begin with; NULL: none was recalled in this line */
  int at;       /* entries back from the newest, which is 0; -1: the line as it was typed */
  char *pasted; /* a piece too long for the line, which a mark stands for; NULL: none */
  char mark[48];
} ms_keys;

/* Bind them. */
void ms_keys_bind(EditLine *el);
/* A line begins: the terminal says from here on what is pasted; and ends. */
void ms_keys_begin(ms_keys *k);
void ms_keys_end(ms_keys *k);
/* Push the line of n bytes, with what was pasted in the place of its mark. */
void ms_keys_push(ms_keys *k, lua_State *L, const char *line, size_t n);
void ms_keys_free(ms_keys *k);

/* The size of the terminal, 24 x 80 where it does not tell. */
void ms_screen(int *rows, int *columns);

#endif
