/* mat73.h -- MATLAB's files of version 7.3, which are HDF5: read by libhdf5 in a child process, which hands the variables over as a
 * file of version 5 through a pipe. Whatever the library does with a hostile file (it has had many faults), it does there: with
 * limits of memory and time, without writing files, loading plug-ins or keeping this process's files open. What comes through the
 * pipe is read as mat.c reads any file: nothing of it is believed.
 *
 * The child is a fork without exec, so that a program that has the library inside (lua5.4, C) need not find a second one: only the
 * thread that calls lives on in it, and it opens libhdf5, converts and ends by _exit. */
#ifndef MASCON_MAT73_H
#define MASCON_MAT73_H
#include "mascon.h"
#include <sys/types.h>

/* Is this the beginning of such a file? */
bool ms_mat73_is(const void *bytes, size_t n);
/* Start the child on an open file of `size` bytes: the pipe's end to read from, or -1 after ms_fail. only: the variable with this
 * number (from 0), -1: all. */
int ms_mat73_start(const char *name, int file, uint64_t size, int64_t only, pid_t *child);
/* Wait until there is something in the pipe, or its end: 0, or -1 after ms_fail when nothing came for ms_mat73_patience seconds (of
 * the clock on the wall: a process that sleeps uses none of its own), or on an interrupt. */
int ms_mat73_wait(const char *name, int pipe);
extern double ms_mat73_patience;
/* End it, if it has not ended by itself. `all`: the pipe was read to its end; -1 after ms_fail if the child then failed. */
int ms_mat73_end(const char *name, pid_t child, bool all);

#endif
