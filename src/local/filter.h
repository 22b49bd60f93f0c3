/* Which sockets to show, in words: "port 8080 and not loopback", and ss's "( sport = :22 or dst
 * 10.0.0.0/8 ) and state established". */
#pragma once

#include "base/error.h"
#include "local/diag.h"
#include "local/exposure.h"
#include "local/owner.h"

struct filter;

/* Compiles words (as the shell gave them, joined by blanks). Grammar: or, and (also by
 * juxtaposition), not
 * (!), parentheses, and
 *   state NAME | listening | established | connected | synchronized | bucket | big …   (ss's
 * groups) port P[-Q] | sport OP :P | dport OP :P | src ADDRESS[/BITS][:P] | dst … | peer … | local
 * … pid N | process NAME (with * and ?) | user NAME | unit NAME | container NAME | inode N tcp |
 * udp | unix … | ipv4 | ipv6 | loopback | exposed | dev INTERFACE | path PATTERN OP is one of = ==
 * != < > <= >= eq ne lt gt le ge. Service names stand for ports. Hosts' names are not looked up.
 * Returns 0, or -EINVAL with an error that has the column. */
int filter_parse(const char *const *words, size_t count, struct filter **ret_filter,
                 struct error *error);
void filter_free(struct filter *filter);

/* What the kernel can be asked to leave out already: narrows `query`. */
void filter_narrow(const struct filter *filter, struct diag_query *query);

/* Does it need to know who holds the sockets? */
bool filter_needs_owners(const struct filter *filter);

/* `owners` may be NULL when it does not. NULL is a filter that takes all. */
bool filter_match(const struct filter *filter, const struct socket_entry *entry,
                  const struct owners *owners, const struct exposure_map *map);
