/* What the parts of filters share: the tree, and the text that it is made from. */
#pragma once

#include "base/arena.h"
#include "base/text.h"
#include "local/filter.h"
#include "net/port_set.h"

enum filter_subject {
    FILTER_AND,
    FILTER_OR,
    FILTER_STATES,  /* low: bits of enum socket_state */
    FILTER_WAITING, /* for whoever comes */
    FILTER_KINDS,   /* low: bits of enum socket_kind */
    FILTER_FAMILY,  /* low: enum address_family */
    FILTER_HOST,    /* sides, address to last, ports */
    FILTER_PID,     /* low to high, and so are the next two */
    FILTER_USER,
    FILTER_INODE,
    FILTER_PROCESS, /* pattern, and so are the next four */
    FILTER_UNIT,
    FILTER_CONTAINER,
    FILTER_PATH,
    FILTER_DEVICE,    /* the pattern, or low when that is NULL */
    FILTER_MARK,      /* low: value; high: mask */
    FILTER_CGROUP,    /* low: its identity */
    FILTER_AUTOBOUND, /* a port from low to high, or what the kernel calls a Unix socket */
    FILTER_LOOPBACK,
    FILTER_EXPOSED,
    FILTER_EVERYWHERE,
};

enum {
    FILTER_LOCAL = 1,
    FILTER_REMOTE = 2,
    FILTER_DEPTH = 64, /* parentheses within each other */
    FILTER_TEXT_LIMIT = 65536,
};

struct filter_ports {
    struct port_set set;
    struct filter_ports *next; /* of the same filter */
};

struct filter_node {
    enum filter_subject subject;
    bool negated;
    uint8_t sides; /* either of them is enough */
    struct filter_node *first, *next;
    uint64_t low, high;
    const char *pattern;
    struct address address; /* ADDRESS_NONE: any */
    uint128_t last;
    const struct filter_ports *ports; /* NULL: any */
};

struct filter {
    struct arena arena;
    struct filter_node *root;
    struct filter_ports *ports;
};

/* ---- words (filter_words.c) ---- */

enum filter_token_kind {
    FILTER_TOKEN_END,
    FILTER_TOKEN_OPEN,
    FILTER_TOKEN_CLOSE,
    FILTER_TOKEN_AND,
    FILTER_TOKEN_OR,
    FILTER_TOKEN_NOT,
    FILTER_TOKEN_COMPARISON,
    FILTER_TOKEN_WORD,
    FILTER_TOKEN_BROKEN, /* a quotation mark has no second one */
};

struct filter_token {
    enum filter_token_kind kind;
    size_t at, length; /* of the word itself, without its quotation marks */
    size_t end;        /* where the next one may begin */
    bool quoted;
};

/* The token at or after `at`. */
struct filter_token filter_token_read(const char *text, size_t length, size_t at);

/* Is it this word? ASCII case does not matter. */
bool filter_word_is(const char *word, size_t length, const char *known);

enum filter_comparison {
    FILTER_EQUAL,
    FILTER_UNEQUAL,
    FILTER_LESS,
    FILTER_GREATER,
    FILTER_LESS_EQUAL,
    FILTER_GREATER_EQUAL,
};

/* By sign or, as ss has them, by letters. */
bool filter_comparison_find(const char *word, size_t length, enum filter_comparison *ret);

/* States by name: one of them, or one of ss's groups. Returns false for others. */
bool filter_states_find(const char *word, size_t length, uint32_t *ret_states);
void filter_states_nearest(struct text_nearest *nearest);

/* ---- parsing ---- */

struct filter_parser {
    const char *text;
    size_t length;
    struct filter_token token; /* the next one */
    unsigned depth;
    struct filter *filter;
    struct error *error;
};

/* Complains about byte `column` of the text. The value is -EINVAL. */
#define FILTER_FAULT(parser, column, ...)                                                          \
    error_set_at((parser)->error, EINVAL, (parser)->text, (parser)->length, (column), __VA_ARGS__)

int filter_out_of_memory(const struct filter_parser *parser);
void filter_advance(struct filter_parser *parser);
struct filter_node *filter_node_new(struct filter_parser *parser, enum filter_subject subject);

/* A word with what is known of it (filter_terms.c). Returns 0 or -errno, with an error. */
int filter_read_term(struct filter_parser *parser, struct filter_node **ret_node);

/* What stands between `at` and `end` of the text, into `node` (filter_address.c). */
int filter_read_ports(struct filter_parser *parser, enum filter_comparison comparison, size_t at,
                      size_t end, struct filter_node *node);
int filter_read_host(struct filter_parser *parser, size_t at, size_t end, struct filter_node *node);

/* Decimal, or hexadecimal after "0x". False when it is none, or above the limit. */
bool filter_read_number(const char *text, size_t length, uint64_t limit, uint64_t *ret_number);
