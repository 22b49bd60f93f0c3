/* Does with a link what the lines of its standard input say: a program of test_link.py.
 *
 *     use_link LINK FIRST_PORT LAST_PORT
 *
 *     open                                       → "0", or "CODE MESSAGE"
 *     send INTERFACE LOCAL SOURCE NEXT_HOP TO COUNT BYTES
 *                                                → "PACKETS CODE"
 *     receive MILLISECONDS ROOM                  → "PACKETS", kept until it is released
 *     show NUMBER                                → "INTERFACE PROTOCOL VERIFIED AGE BYTES" of one
 *                                                  that is kept
 *     release                                    → "0"
 *     facts                                      → "SENT REFUSED MISSED"
 *     drop                                       → "0": the process is nobody's from now on
 *
 * SOURCE and NEXT_HOP are hardware addresses and BYTES a packet, each in hexadecimal; AGE is in
 * nanoseconds. */
#include "base/clock.h"
#include "scan/link.h"

#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOM 32768 /* packets kept at the same time */
#define BATCH 100

struct use {
    const struct link_class *class;
    struct link_options options;
    struct link *link;
    size_t kept;
    struct incoming packets[ROOM];
};

static size_t read_hexadecimal(const char *text, unsigned char *bytes, size_t room)
{
    size_t count = 0;
    for (; count < room && text[0] && text[1]; text += 2) {
        const char digits[] = {text[0], text[1], '\0'};
        bytes[count++] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return count;
}

static void do_open(struct use *use)
{
    struct error error = {0};
    int code = use->class->open(&use->options, &use->link, &error);
    if (code)
        printf("%d %s\n", -code, error.message);
    else
        printf("0\n");
}

static void do_send(struct use *use, const char *words)
{
    char name[IF_NAMESIZE], source[16], next_hop[16], to[64], text[4096];
    int local;
    size_t count;
    if (sscanf(words, "%15s %d %15s %15s %63s %zu %4095s", name, &local, source, next_hop, to,
               &count, text) != 7) {
        printf("what?\n");
        return;
    }
    unsigned char memory[LINK_HEADROOM + sizeof(text) / 2];
    unsigned char *bytes = memory + LINK_HEADROOM;
    struct route route = {
        .interface = {.index = if_nametoindex(name), .type = ARPHRD_ETHER, .flags = IFF_UP},
        .local = local,
    };
    struct outgoing packet = {
        .bytes = bytes,
        .length = (uint16_t)read_hexadecimal(text, bytes, sizeof(text) / 2),
        .route = &route,
    };
    read_hexadecimal(source, route.interface.hardware, HARDWARE_SIZE);
    read_hexadecimal(next_hop, packet.next_hop, HARDWARE_SIZE);
    address_parse(to, strlen(to), &packet.to, NULL);
    struct outgoing batch[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        batch[i] = packet;
    size_t sent = 0;
    int code = 0;
    while (sent < count && !code) {
        size_t wanted = count - sent < BATCH ? count - sent : BATCH;
        sent += use->class->send(use->link, batch, wanted, &code);
    }
    printf("%zu %d\n", sent, code);
}

static void do_receive(struct use *use, uint64_t milliseconds, size_t room)
{
    size_t count = use->class->receive(use->link, milliseconds * NANOSECONDS_PER_MILLISECOND,
                                       use->packets + use->kept,
                                       room < ROOM - use->kept ? room : ROOM - use->kept);
    use->kept += count;
    printf("%zu\n", count);
}

static void do_show(const struct use *use, size_t number)
{
    if (number >= use->kept) {
        printf("what?\n");
        return;
    }
    const struct incoming *packet = &use->packets[number];
    printf("%u %u %d %lld ", packet->interface, packet->protocol, packet->verified,
           (long long)(clock_monotonic() - packet->time));
    for (size_t i = 0; i < packet->length; i++)
        printf("%02x", packet->bytes[i]);
    printf("\n");
}

static void obey(struct use *use, const char *line)
{
    unsigned long long one = 0, other = 0;
    if (strcmp(line, "open\n") == 0) {
        do_open(use);
    } else if (strncmp(line, "send ", 5) == 0) {
        do_send(use, line + 5);
    } else if (sscanf(line, "receive %llu %llu", &one, &other) == 2) {
        do_receive(use, one, other);
    } else if (sscanf(line, "show %llu", &one) == 1) {
        do_show(use, one);
    } else if (strcmp(line, "release\n") == 0) {
        use->class->release(use->link);
        use->kept = 0;
        printf("0\n");
    } else if (strcmp(line, "facts\n") == 0) {
        struct link_facts facts = use->class->facts(use->link);
        printf("%llu %llu %llu\n", (unsigned long long)facts.sent,
               (unsigned long long)facts.refused, (unsigned long long)facts.missed);
    } else if (strcmp(line, "drop\n") == 0) {
        printf("%d\n", setresgid(65534, 65534, 65534) | setresuid(65534, 65534, 65534));
    } else {
        printf("what?\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct use *use = calloc(1, sizeof(*use));
    if (!use || argc != 4)
        return 2;
    for (size_t i = 0; link_classes[i]; i++)
        if (strcmp(link_classes[i]->name, argv[1]) == 0)
            use->class = link_classes[i];
    if (!use->class)
        return 2;
    use->options.first_port = (uint16_t)atoi(argv[2]);
    use->options.last_port = (uint16_t)atoi(argv[3]);
    char line[8192];
    while (fgets(line, sizeof(line), stdin))
        obey(use, line);
    if (use->link)
        use->class->close(use->link);
    free(use);
    return 0;
}
