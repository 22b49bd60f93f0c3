/* How a chat reads: lines with their speakers' names, and who comes and goes. Pure functions. */
#pragma once

#include "base/buffer.h"
#include "talk/peer.h"

#include <stdint.h>

/* The longest line that is passed on in one piece. */
#define HUB_LINE_SIZE ((size_t)64 << 10)

/* Takes bytes of user `number`, which are hostile: whole lines are added to `said`, escaped but for
 * tabs, as "<user3> hello\n". What is not yet a line stays in `rest`; a line that is too long is
 * passed on in pieces, cut between characters. */
void hub_chat_add(struct buffer *rest, uint64_t number, const char *bytes, size_t length,
                  struct buffer *said);

/* There comes no more: the last line, where its end is missing. */
void hub_chat_end(struct buffer *rest, uint64_t number, struct buffer *said);

/* "<announce> 127.0.0.1:4711 is connected as <user3>.\n" and "<announce> <user3> is
 * disconnected.\n" */
void hub_chat_came(uint64_t number, const struct peer *peer, struct buffer *said);
void hub_chat_went(uint64_t number, struct buffer *said);

/* One of those who were there before, the `index`th from 0: "<announce> already connected:
 * 127.0.0.1:4711 as <user1>" and ", …"; behind the last of `count` ".\n". For none of them: "…
 * nobody.\n". Only the first ones are named. */
void hub_chat_present(size_t index, size_t count, uint64_t number, const struct peer *peer,
                      struct buffer *said);
void hub_chat_nobody(struct buffer *said);
