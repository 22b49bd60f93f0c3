/* Filters from words: or, and, not, and parentheses. */
#include "base/buffer.h"
#include "local/filter_parts.h"

#include <errno.h>
#include <stdlib.h>

int filter_out_of_memory(const struct filter_parser *parser)
{
    return error_set(parser->error, ENOMEM, "out of memory");
}

void filter_advance(struct filter_parser *parser)
{
    parser->token = filter_token_read(parser->text, parser->length, parser->token.end);
}

struct filter_node *filter_node_new(struct filter_parser *parser, enum filter_subject subject)
{
    struct filter_node *node = arena_take(&parser->filter->arena, sizeof(*node));
    if (node)
        node->subject = subject;
    return node;
}

static int parse_any(struct filter_parser *parser, struct filter_node **ret_node);

static int parse_parentheses(struct filter_parser *parser, struct filter_node **ret_node)
{
    const size_t open = parser->token.at;
    struct filter_node *node;
    if (parser->depth == FILTER_DEPTH)
        return FILTER_FAULT(parser, open, "no more than %d parentheses may stand in each other",
                            FILTER_DEPTH);
    parser->depth++;
    filter_advance(parser);
    const int code = parse_any(parser, &node);
    if (code != 0)
        return code;
    parser->depth--;
    if (parser->token.kind != FILTER_TOKEN_CLOSE)
        return FILTER_FAULT(parser, open, "this parenthesis is not closed");
    filter_advance(parser);
    *ret_node = node;
    return 0;
}

/* A term or what is in parentheses, with "not" before it. */
static int parse_one(struct filter_parser *parser, struct filter_node **ret_node)
{
    struct filter_node *node;
    bool negated = false;
    for (; parser->token.kind == FILTER_TOKEN_NOT; filter_advance(parser))
        negated = !negated;
    int code;
    switch (parser->token.kind) {
    case FILTER_TOKEN_OPEN:
        code = parse_parentheses(parser, &node);
        break;
    case FILTER_TOKEN_WORD:
        code = filter_read_term(parser, &node);
        break;
    case FILTER_TOKEN_BROKEN:
        return FILTER_FAULT(parser, parser->token.at, "the quotation mark has no second one");
    case FILTER_TOKEN_COMPARISON:
        return FILTER_FAULT(parser, parser->token.at,
                            "before this stands what is compared, as in 'sport = :22'");
    default:
        return FILTER_FAULT(parser, parser->token.at,
                            "here stands what to look for, such as 'port 8080' or 'state listen'");
    }
    if (code != 0)
        return code;
    node->negated ^= negated;
    *ret_node = node;
    return 0;
}

/* Several of them become one; one alone is itself. */
static int make_group(struct filter_parser *parser, enum filter_subject subject,
                      struct filter_node *first, struct filter_node **ret_node)
{
    struct filter_node *node = first;
    if (first->next) {
        node = filter_node_new(parser, subject);
        if (!node)
            return filter_out_of_memory(parser);
        node->first = first;
    }
    *ret_node = node;
    return 0;
}

static int parse_all(struct filter_parser *parser, struct filter_node **ret_node)
{
    struct filter_node *first = NULL, **end = &first;
    for (;;) {
        const int code = parse_one(parser, end);
        if (code != 0)
            return code;
        end = &(*end)->next;
        if (parser->token.kind == FILTER_TOKEN_AND)
            filter_advance(parser);
        else if (parser->token.kind == FILTER_TOKEN_END || parser->token.kind == FILTER_TOKEN_OR ||
                 parser->token.kind == FILTER_TOKEN_CLOSE)
            return make_group(parser, FILTER_AND, first, ret_node);
    }
}

static int parse_any(struct filter_parser *parser, struct filter_node **ret_node)
{
    struct filter_node *first = NULL, **end = &first;
    for (;;) {
        const int code = parse_all(parser, end);
        if (code != 0)
            return code;
        end = &(*end)->next;
        if (parser->token.kind != FILTER_TOKEN_OR)
            return make_group(parser, FILTER_OR, first, ret_node);
        filter_advance(parser);
    }
}

static int parse(struct filter_parser *parser)
{
    parser->token = filter_token_read(parser->text, parser->length, 0);
    if (parser->token.kind == FILTER_TOKEN_END)
        return 0;
    int code = parse_any(parser, &parser->filter->root);
    if (code == 0 && parser->token.kind != FILTER_TOKEN_END)
        code = FILTER_FAULT(parser, parser->token.at, "no parenthesis was opened before this");
    return code;
}

int filter_parse(const char *const *words, size_t count, struct filter **ret_filter,
                 struct error *error)
{
    struct buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_add_character(&text, ' ');
        buffer_add_text(&text, words[i]);
    }
    struct filter *filter = calloc(1, sizeof(*filter));
    int code = -ENOMEM;
    if (!filter || text.failed)
        error_set(error, ENOMEM, "out of memory");
    else if (text.length > FILTER_TEXT_LIMIT)
        code = error_set(error, EINVAL, "the filter is longer than %d bytes", FILTER_TEXT_LIMIT);
    else
        code = parse(&(struct filter_parser){.text = text.data ? text.data : "",
                                             .length = text.length,
                                             .filter = filter,
                                             .error = error});
    buffer_release(&text);
    if (code != 0 || !filter->root) {
        filter_free(filter);
        filter = NULL;
    }
    if (code == 0)
        *ret_filter = filter;
    return code;
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    for (struct filter_ports *ports = filter->ports; ports; ports = ports->next)
        port_set_release(&ports->set);
    arena_release(&filter->arena);
    free(filter);
}
