/* The description of a simulated network: lines of words. */
#include "simnet.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAXIMUM 4096

struct parser {
    struct description *description;
    struct network *network; /* whose lines these are; NULL before the first */
    bool indented;
    unsigned line, faults;
    const char *path;
    char *words[WORDS_MAXIMUM + 1]; /* of this line; a NULL ends them */
    char **next;                    /* the word that is looked at */
};

__attribute__((format(printf, 2, 3))) static bool fault(struct parser *parser, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "simnet: %s:%u: ", parser->path, parser->line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    parser->faults++;
    return false;
}

/* ---- Words ---- */

static char *take(struct parser *parser)
{
    return *parser->next ? *parser->next++ : NULL;
}

static bool take_if(struct parser *parser, const char *word)
{
    if (!*parser->next || strcmp(*parser->next, word) != 0)
        return false;
    parser->next++;
    return true;
}

static const char *seen(struct parser *parser)
{
    return *parser->next ? *parser->next : "the end of the line";
}

/* "1%", "0.25%", as a share of 1. */
static bool share_parse(const char *word, double *ret_share)
{
    char *end;
    if (!word || word[0] < '0' || word[0] > '9')
        return false;
    double value = strtod(word, &end);
    if (strcmp(end, "%") != 0 || value > 100)
        return false;
    *ret_share = value / 100;
    return true;
}

static uint64_t share_to_hash(double share)
{
    return share >= 1 ? UINT64_MAX : (uint64_t)(share * 0x1p64);
}

static bool take_share(struct parser *parser, double *ret_share)
{
    if (!share_parse(*parser->next, ret_share))
        return fault(parser, "a share such as 5%% is wanted, not %s", seen(parser));
    parser->next++;
    return true;
}

static bool take_chance(struct parser *parser, uint64_t *ret_chance)
{
    double share = 0;
    if (!take_share(parser, &share))
        return false;
    *ret_chance = share_to_hash(share);
    return true;
}

static bool take_time(struct parser *parser, double *ret_time)
{
    const char *word = *parser->next;
    double value = -1;
    if (word && word[0] >= '0' && word[0] <= '9') {
        char *end;
        value = strtod(word, &end);
        if (strcmp(end, "us") == 0)
            value *= 1e3;
        else if (strcmp(end, "ms") == 0)
            value *= 1e6;
        else if (strcmp(end, "s") == 0)
            value *= 1e9;
        else if (strcmp(end, "0") != 0 && !(value == 0 && *end == 0))
            value = -1;
    }
    if (value < 0 || value > 3600e9)
        return fault(parser, "a time such as 20ms or 1.5s is wanted, not %s", seen(parser));
    parser->next++;
    *ret_time = value;
    return true;
}

static bool take_integer(struct parser *parser, int64_t least, int64_t most, int64_t *ret_value)
{
    const char *word = *parser->next;
    char *end;
    long long value = word ? strtoll(word, &end, 10) : -1;
    if (!word || word[0] < '0' || word[0] > '9' || *end != 0 || value < least || value > most)
        return fault(parser, "a number from %lld to %lld is wanted, not %s", (long long)least,
                     (long long)most, seen(parser));
    parser->next++;
    *ret_value = value;
    return true;
}

/* ---- Rules for ports and hosts ---- */

static const struct {
    const char *name;
    bool four;
    uint8_t type, code;
} icmp_names[] = {
    {"net-unreach", true, ICMP_DEST_UNREACH, ICMP_NET_UNREACH},
    {"host-unreach", true, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
    {"proto-unreach", true, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH},
    {"port-unreach", true, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH},
    {"net-prohibited", true, ICMP_DEST_UNREACH, ICMP_NET_ANO},
    {"host-prohibited", true, ICMP_DEST_UNREACH, ICMP_HOST_ANO},
    {"admin-prohibited", true, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED},
    {"time-exceeded", true, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL},
    {"no-route", false, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
    {"admin-prohibited", false, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN},
    {"beyond-scope", false, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_BEYONDSCOPE},
    {"host-unreach", false, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR},
    {"port-unreach", false, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT},
    {"policy-fail", false, ICMP6_DST_UNREACH, 5},
    {"reject-route", false, ICMP6_DST_UNREACH, 6},
    {"time-exceeded", false, ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT},
};

/* NAME [from ADDRESS]: an ICMP error that exists in the network's family. */
static bool take_reject(struct parser *parser, struct rule *rule)
{
    const struct description *description = parser->description;
    bool four = host_is_four(description->prefixes[description->prefix_count - 1].host);
    const char *name = take(parser);
    for (size_t i = 0; name && i < sizeof icmp_names / sizeof *icmp_names; i++) {
        if (icmp_names[i].four != four || strcmp(icmp_names[i].name, name) != 0)
            continue;
        rule->state = STATE_REJECT;
        rule->reason = icmp_names[i].name;
        rule->type = icmp_names[i].type;
        rule->code = icmp_names[i].code;
        if (!take_if(parser, "from"))
            return true;
        const char *router = take(parser);
        rule->has_router = router && host_parse(router, &rule->router);
        if (!rule->has_router || host_is_four(rule->router) != four)
            return fault(parser, "from wants an address of the network's family");
        return true;
    }
    return fault(parser, "%s is no ICMP error of %s", name ? name : "the end of the line",
                 four ? "IPv4" : "IPv6");
}

static bool add_ports(struct parser *parser, struct network *network, const char *word,
                      unsigned rule)
{
    if (!network->rule_of_port)
        network->rule_of_port = calloc(65536, 1);
    if (!network->rule_of_port)
        return fault(parser, "no memory");
    while (*word != 0) {
        unsigned first, last;
        if (!ports_parse(word, &first, &last, &word))
            return fault(parser, "ports such as 22,80-88 are wanted, not %s", word);
        for (unsigned port = first; port <= last; port++) {
            if (network->rule_of_port[port] != 0)
                return fault(parser, "port %u has been given before", port);
            network->rule_of_port[port] = (uint8_t)(rule + 1);
        }
    }
    return true;
}

static bool add_share(struct parser *parser, struct network *network, double share, unsigned rule)
{
    if (network->share_count == SHARES_MAXIMUM)
        return fault(parser, "too many shares in one network");
    network->left *= 1 - share;
    network->shares[network->share_count++] =
        (struct share){share_to_hash(1 - network->left), rule};
    return true;
}

/* open|closed|silent|reject SHARE|PORTS… [NAME [from ADDRESS]] */
static bool read_rule(struct parser *parser, enum state state)
{
    static const char *const reasons[] = {[STATE_OPEN] = "syn-ack",
                                          [STATE_CLOSED] = "reset",
                                          [STATE_SILENT] = "silent",
                                          [STATE_REJECT] = ""};
    struct network *network = parser->network;
    if (network->rule_count == RULES_MAXIMUM)
        return fault(parser, "too many rules in one network");
    unsigned index = network->rule_count++;
    struct rule *rule = &network->rules[index];
    *rule = (struct rule){.state = state, .reason = reasons[state]};
    char **first = parser->next;
    for (; *parser->next && **parser->next >= '0' && **parser->next <= '9'; parser->next++) {
        double share;
        if (share_parse(*parser->next, &share)) {
            if (!add_share(parser, network, share, index))
                return false;
        } else if (!add_ports(parser, network, *parser->next, index)) {
            return false;
        }
    }
    if (parser->next == first)
        return fault(parser, "ports or a share of them are wanted, not %s", seen(parser));
    return state != STATE_REJECT || take_reject(parser, rule);
}

static bool read_open(struct parser *parser)
{
    return read_rule(parser, STATE_OPEN);
}

static bool read_closed(struct parser *parser)
{
    return read_rule(parser, STATE_CLOSED);
}

static bool read_silent(struct parser *parser)
{
    return read_rule(parser, STATE_SILENT);
}

static bool read_reject(struct parser *parser)
{
    return read_rule(parser, STATE_REJECT);
}

static bool read_absent(struct parser *parser)
{
    if (!take_chance(parser, &parser->network->absent))
        return false;
    return !*parser->next || take_reject(parser, &parser->network->absent_rule);
}

static bool read_firewalled(struct parser *parser)
{
    return take_chance(parser, &parser->network->firewalled);
}

/* ---- The way ---- */

static bool read_rtt(struct parser *parser)
{
    struct network *network = parser->network;
    network->rtt = RTT_FIXED;
    if (take_if(parser, "uniform"))
        network->rtt = RTT_UNIFORM;
    else if (take_if(parser, "lognormal"))
        network->rtt = RTT_LOGNORMAL;
    if (!take_time(parser, &network->rtt_one))
        return false;
    if (network->rtt == RTT_UNIFORM) {
        if (!take_time(parser, &network->rtt_two))
            return false;
        if (network->rtt_two < network->rtt_one)
            return fault(parser, "the longest time is shorter than the shortest");
    }
    if (network->rtt == RTT_LOGNORMAL) {
        char *word = take(parser), *end = word;
        network->rtt_two = word ? strtod(word, &end) : -1;
        if (!word || end == word || *end != 0 || !(network->rtt_two >= 0 && network->rtt_two <= 4))
            return fault(parser, "lognormal wants a median and a deviation from 0 to 4");
    }
    double jitter = 0;
    if (take_if(parser, "jitter") && !take_time(parser, &jitter))
        return false;
    network->jitter = (int64_t)jitter;
    return true;
}

static bool read_loss(struct parser *parser)
{
    if (share_parse(*parser->next, &(double){0})) {
        if (!take_chance(parser, &parser->network->loss[OUT]))
            return false;
        parser->network->loss[BACK] = parser->network->loss[OUT];
        return true;
    }
    do {
        int way = take_if(parser, "out") ? OUT : take_if(parser, "back") ? BACK : WAYS;
        if (way == WAYS)
            return fault(parser, "out, back or a share is wanted, not %s", seen(parser));
        if (!take_chance(parser, &parser->network->loss[way]))
            return false;
    } while (*parser->next);
    return true;
}

static bool read_burst(struct parser *parser)
{
    struct network *network = parser->network;
    int way = take_if(parser, "back") ? BACK : OUT;
    network->burst_shared = way == OUT && !take_if(parser, "out");
    struct burst *burst = &network->burst[way];
    if (!take_chance(parser, &burst->chance) || !take_time(parser, &burst->mean))
        return false;
    if (network->burst_shared && network->burst[BACK].chance)
        return fault(parser, "a burst both ways and one back");
    return true;
}

/* bottleneck [out|back] RATE [queue N] */
static bool read_bottleneck(struct parser *parser)
{
    int way = take_if(parser, "back") ? BACK : OUT;
    if (way == OUT)
        take_if(parser, "out");
    struct bottleneck *bottleneck = parser->indented ? &parser->network->bottleneck[way]
                                                     : &parser->description->bottleneck[way];
    int64_t rate = 0;
    if (!take_integer(parser, 1, 100000000, &rate))
        return false;
    bottleneck->interval = NANOSECONDS / rate;
    bottleneck->queue = 1000;
    return !take_if(parser, "queue") || take_integer(parser, 0, 1000000, &bottleneck->queue);
}

/* limit rst|icmp|syn-ack RATE freebsd | linux [burst N] */
static bool read_limit(struct parser *parser)
{
    static const char *const kinds[LIMITS] = {"rst", "icmp", "syn-ack"};
    int kind = 0;
    while (kind < LIMITS && !take_if(parser, kinds[kind]))
        kind++;
    if (kind == LIMITS)
        return fault(parser, "rst, icmp or syn-ack is wanted, not %s", seen(parser));
    struct limit *limit = &parser->network->limits[kind];
    if (!take_integer(parser, 1, 1000000000, &limit->rate))
        return false;
    parser->network->limited = true;
    if (take_if(parser, "freebsd")) {
        limit->kind = LIMIT_WINDOW;
        return true;
    }
    if (!take_if(parser, "linux"))
        return fault(parser, "freebsd or linux is wanted, not %s", seen(parser));
    limit->kind = LIMIT_BUCKET;
    limit->burst = 6;
    return !take_if(parser, "burst") || take_integer(parser, 1, 1000000000, &limit->burst);
}

static bool add_delay(struct parser *parser)
{
    struct network *network = parser->network;
    if (network->delay_count == DELAYS_MAXIMUM)
        return fault(parser, "too many kinds of delay");
    struct delay *delay = &network->delays[network->delay_count++];
    double time;
    if (!take_chance(parser, &delay->chance) || !take_time(parser, &time))
        return false;
    delay->time = (int64_t)time;
    return true;
}

static bool read_duplicate(struct parser *parser)
{
    struct delay *duplicate = &parser->network->duplicate;
    double time = 0;
    if (!take_chance(parser, &duplicate->chance) || (*parser->next && !take_time(parser, &time)))
        return false;
    duplicate->time = (int64_t)time;
    return true;
}

static bool read_corrupt(struct parser *parser)
{
    return take_chance(parser, &parser->network->corrupt);
}

static bool read_forge(struct parser *parser)
{
    return take_chance(parser, &parser->network->forge);
}

/* ---- The hosts ---- */

static bool read_stack(struct parser *parser)
{
    static const char *const names[] = {
        [STACK_LINUX] = "linux", [STACK_BSD] = "bsd", [STACK_WINDOWS] = "windows"};
    for (int i = STACK_LINUX; i <= STACK_WINDOWS; i++) {
        if (take_if(parser, names[i])) {
            parser->network->stack = (enum stack)i;
            return true;
        }
    }
    return fault(parser, "linux, bsd or windows is wanted, not %s", seen(parser));
}

static bool read_ttl(struct parser *parser)
{
    int64_t value = 0;
    if (!take_integer(parser, 1, 255, &value))
        return false;
    parser->network->ttl = (uint8_t)value;
    return true;
}

static bool read_mss(struct parser *parser)
{
    int64_t value = 0;
    if (!take_integer(parser, 0, 65535, &value))
        return false;
    parser->network->mss = (uint16_t)value;
    return true;
}

static bool read_quote(struct parser *parser)
{
    int64_t value = 0;
    if (!take_integer(parser, 0, 64, &value))
        return false;
    parser->network->quote = (unsigned)value;
    return true;
}

static bool read_onlink(struct parser *parser)
{
    return parser->network->onlink = true;
}

static bool read_proxy(struct parser *parser)
{
    return parser->network->proxy = true;
}

static bool read_tarpit(struct parser *parser)
{
    return parser->network->tarpit = true;
}

static bool read_stateless(struct parser *parser)
{
    return parser->network->stateless = true;
}

static bool read_rst_window(struct parser *parser)
{
    return parser->network->rst_window = true;
}

static bool read_no_ping(struct parser *parser)
{
    return parser->network->no_ping = true;
}

/* ---- The whole ---- */

static bool read_seed(struct parser *parser)
{
    int64_t value = 0;
    if (!take_integer(parser, 0, INT64_MAX, &value))
        return false;
    parser->description->seed = (uint64_t)value;
    return true;
}

static bool read_gateway(struct parser *parser)
{
    struct description *description = parser->description;
    const char *word = take(parser);
    struct host host;
    if (!word || !host_parse(word, &host))
        return fault(parser, "an address is wanted, not %s", word ? word : "the end of the line");
    bool six = !host_is_four(host);
    if (description->has_gateway[six])
        return fault(parser, "there is another gateway of this family");
    description->has_gateway[six] = true;
    description->gateway[six] = host;
    return true;
}

static bool add_prefix(struct parser *parser, const char *word)
{
    struct description *description = parser->description;
    struct prefix prefix = {.network = parser->network};
    if (!prefix_parse(word, &prefix.host, &prefix.length))
        return fault(parser, "a network such as 198.18.1.0/24 is wanted, not %s", word);
    struct host masked = host_mask(prefix.host, prefix.length);
    if (!host_equal(masked, prefix.host))
        return fault(parser, "%s has bits set behind its length", word);
    size_t count = description->prefix_count;
    if (count > 0 && description->prefixes[count - 1].network == parser->network &&
        host_is_four(description->prefixes[count - 1].host) != host_is_four(prefix.host))
        return fault(parser, "one network is of one family");
    for (size_t i = 0; i < count; i++)
        if (host_equal(description->prefixes[i].host, masked) &&
            description->prefixes[i].length == prefix.length)
            return fault(parser, "%s has been given before", word);
    if ((count & (count + 1)) == 0) {
        size_t bytes = (2 * count + 1) * sizeof(struct prefix);
        struct prefix *more = realloc(description->prefixes, bytes);
        if (!more)
            return fault(parser, "no memory");
        description->prefixes = more;
    }
    description->prefixes[description->prefix_count++] = prefix;
    return true;
}

static bool read_network(struct parser *parser)
{
    struct network *network = calloc(1, sizeof *network);
    if (!network)
        return fault(parser, "no memory");
    *network = (struct network){.next = parser->description->networks,
                                .line = parser->line,
                                .left = 1,
                                .ttl = 64,
                                .quote = 64,
                                .absent_rule = {.state = STATE_SILENT, .reason = "absent"}};
    parser->description->networks = network;
    parser->network = network;
    size_t before = parser->description->prefix_count;
    while (*parser->next)
        if (!add_prefix(parser, take(parser)))
            return false;
    if (parser->description->prefix_count == before)
        return fault(parser, "network wants a network such as 198.18.1.0/24");
    network->mss = host_is_four(parser->description->prefixes[before].host) ? 1460 : 1440;
    return true;
}

enum where { ANYWHERE, AT_MARGIN, IN_NETWORK };

static const struct {
    const char *name;
    enum where where;
    bool (*read)(struct parser *parser);
} directives[] = {
    {"seed", AT_MARGIN, read_seed},
    {"gateway", AT_MARGIN, read_gateway},
    {"network", AT_MARGIN, read_network},
    {"bottleneck", ANYWHERE, read_bottleneck},
    {"open", IN_NETWORK, read_open},
    {"closed", IN_NETWORK, read_closed},
    {"silent", IN_NETWORK, read_silent},
    {"reject", IN_NETWORK, read_reject},
    {"absent", IN_NETWORK, read_absent},
    {"firewalled", IN_NETWORK, read_firewalled},
    {"onlink", IN_NETWORK, read_onlink},
    {"proxy", IN_NETWORK, read_proxy},
    {"tarpit", IN_NETWORK, read_tarpit},
    {"stateless", IN_NETWORK, read_stateless},
    {"rst-window", IN_NETWORK, read_rst_window},
    {"no-ping", IN_NETWORK, read_no_ping},
    {"stack", IN_NETWORK, read_stack},
    {"ttl", IN_NETWORK, read_ttl},
    {"mss", IN_NETWORK, read_mss},
    {"quote", IN_NETWORK, read_quote},
    {"rtt", IN_NETWORK, read_rtt},
    {"loss", IN_NETWORK, read_loss},
    {"burst", IN_NETWORK, read_burst},
    {"limit", IN_NETWORK, read_limit},
    {"duplicate", IN_NETWORK, read_duplicate},
    {"reorder", IN_NETWORK, add_delay},
    {"late", IN_NETWORK, add_delay},
    {"corrupt", IN_NETWORK, read_corrupt},
    {"forge", IN_NETWORK, read_forge},
};

#define DIRECTIVES (sizeof directives / sizeof *directives)

/* One directive. Several may stand on a line of a network ("reorder 10% 5ms  corrupt 2%"): a word
 * that is a directive's name ends the one before it. */
static void read_directive(struct parser *parser)
{
    const char *name = take(parser);
    size_t i = 0;
    while (i < DIRECTIVES && strcmp(directives[i].name, name) != 0)
        i++;
    if (i == DIRECTIVES)
        fault(parser, "%s is no directive", name);
    else if (directives[i].where == IN_NETWORK && (!parser->network || !parser->indented))
        fault(parser, "%s belongs to a network: indent it below one", name);
    else if (directives[i].where == AT_MARGIN && parser->indented)
        fault(parser, "%s belongs to the whole: do not indent it", name);
    else if (directives[i].where == ANYWHERE && parser->indented && !parser->network)
        fault(parser, "there is no network above this line");
    else if (directives[i].read(parser) && *parser->next)
        fault(parser, "%s has no place here", *parser->next);
}

static bool is_directive(char *const *word)
{
    if (strcmp(word[0], "burst") == 0 && strcmp(word[-1], "linux") == 0)
        return false; /* limit … linux burst N */
    for (size_t i = 0; i < DIRECTIVES; i++)
        if (strcmp(directives[i].name, word[0]) == 0)
            return true;
    return false;
}

static void read_line(struct parser *parser, char *line)
{
    line[strcspn(line, "#\r\n")] = 0;
    parser->indented = *line == ' ' || *line == '\t';
    char *words[WORDS_MAXIMUM], *rest = line;
    size_t count = 0;
    for (char *word; (word = strtok_r(count ? NULL : line, " \t", &rest));) {
        if (count == WORDS_MAXIMUM) {
            fault(parser, "too many words");
            return;
        }
        words[count++] = word;
    }
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && !is_directive(words + to); to++)
            ;
        memcpy(parser->words, words + from, (to - from) * sizeof *words);
        parser->words[to - from] = NULL;
        parser->next = parser->words;
        unsigned faults = parser->faults;
        read_directive(parser);
        if (parser->faults != faults)
            return;
    }
}

static bool read_lines(struct parser *parser)
{
    bool standard = strcmp(parser->path, "-") == 0;
    FILE *file = standard ? stdin : fopen(parser->path, "re");
    if (!file)
        return fault(parser, "%s", strerror(errno));
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0) {
        parser->line++;
        read_line(parser, line);
    }
    bool failed = ferror(file) != 0;
    free(line);
    if (!standard)
        fclose(file);
    return failed ? fault(parser, "it cannot be read") : parser->faults == 0;
}

bool description_read(const char *path, const uint64_t *seed, struct description *ret_description)
{
    struct parser parser = {.description = ret_description, .path = path};
    *ret_description = (struct description){.seed = 1};
    bool done = read_lines(&parser);
    if (done && ret_description->prefix_count == 0)
        done = fault(&parser, "there is no network");
    if (done && !description_index(ret_description))
        done = fault(&parser, "no memory");
    if (!done)
        description_close(ret_description);
    else if (seed)
        ret_description->seed = *seed;
    return done;
}

void description_close(struct description *description)
{
    for (struct network *network = description->networks, *next; network; network = next) {
        next = network->next;
        free(network->rule_of_port);
        free(network);
    }
    free(description->prefixes);
    free(description->table);
}
