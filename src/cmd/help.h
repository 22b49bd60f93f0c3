/* What `porthole help` prints, each form made from the command and option tables alone. */
#pragma once

#include "base/buffer.h"
#include "cmd/command.h"

#define PORTHOLE_SUMMARY "network ports from both sides: scan them, talk to them, be one"

#define PORTHOLE_DESCRIPTION                                                                       \
    "porthole scans the ports of one host or of many and says of each whether it is open, closed " \
    "or filtered, and how it knows. It talks to ports, listens as one, and joins two: TCP, UDP, "  \
    "TLS and Unix sockets."

/* The rows that a command takes, its own and then the common ones: the one after `row`, the first
 * for NULL, or NULL after the last. With a NULL command the common ones alone. */
const struct option *help_next_row(const struct command *command, const struct option *row);

/* Adds the sentence of a row with the bounds of its value: "how often to ask (from 1 to 50)". */
void help_add_sentence(struct buffer *buffer, const struct option *row);

/* The examples of the overview: one of each verb that has some, up to `room`. Returns how many. */
size_t help_pick_examples(const struct command_example **examples, size_t room);

/* Adds a manual page in roff (man(7)) for a command, or with NULL for the program. */
void help_add_manual(struct buffer *buffer, const struct command *command);

/* Add a completion script for every command. */
void help_add_bash(struct buffer *buffer);
void help_add_zsh(struct buffer *buffer);
void help_add_fish(struct buffer *buffer);
