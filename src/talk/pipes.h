/* What all conversations of a process share: one buffer to read into, and pipes through which the
 * kernel moves bytes from one socket to another. A pipe is lent only while bytes are in it, so that
 * idle connections cost none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The most that one read takes, and so the largest datagram that is carried whole. */
#define PIPES_BUFFER_SIZE ((size_t)256 << 10)

struct pipe_ends {
    int out, in; /* read from `out` what was written into `in`; -1: none */
};

struct pipes {
    char *buffer; /* PIPES_BUFFER_SIZE bytes, for whoever is running */
    struct pipe_ends free[64];
    size_t free_count;
};

int pipes_init(struct pipes *pipes); /* 0 or -ENOMEM */
void pipes_release(struct pipes *pipes);

/* An empty pipe. Returns 0 or -errno. */
int pipes_take(struct pipes *pipes, struct pipe_ends *ret_pipe);
/* Gives it back; a pipe that is not empty is closed. */
void pipes_give(struct pipes *pipes, struct pipe_ends *pipe, bool empty);
