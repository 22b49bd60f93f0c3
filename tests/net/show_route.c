/* Prints what routes_find() says of each address on its standard input, one a line: a program of
 * test_route.py.
 *
 *     show_route [INTERFACE] <addresses
 *
 * A line is "address code", or "address 0 interface source gateway local hardware", the last of the
 * next hop; "-" is none. */
#include "net/route.h"

#include <stdio.h>
#include <string.h>

static void show(struct routes *routes, const struct address *to, const char *text)
{
    const struct route *route = routes_find(routes, to);
    if (!route || route->code != 0) {
        printf("%s %d\n", text, route ? route->code : -1);
        return;
    }
    char source[ADDRESS_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE] = "-";
    const bool direct = route->gateway.family == ADDRESS_NONE;
    if (!direct)
        address_format(&route->gateway, gateway);
    printf("%s 0 %s %s %s %d ", text, route->interface.name, address_format(&route->source, source),
           gateway, route->local);
    unsigned char hardware[HARDWARE_SIZE];
    if (!routes_neighbour(routes, route->interface.index, direct ? to : &route->gateway, hardware))
        printf("-\n");
    else
        printf("%02x:%02x:%02x:%02x:%02x:%02x\n", hardware[0], hardware[1], hardware[2],
               hardware[3], hardware[4], hardware[5]);
}

int main(int count, char **words)
{
    const uint32_t interface = count > 1 ? if_nametoindex(words[1]) : 0;
    struct error error = {0};
    struct routes *routes = NULL;
    if (routes_open(interface, &routes, &error) != 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    int status = 0;
    char line[256];
    while (status == 0 && fgets(line, sizeof(line), stdin)) {
        struct address address;
        const size_t length = strcspn(line, "\n");
        line[length] = '\0';
        if (address_parse(line, length, &address, &error) == 0)
            show(routes, &address, line);
        else
            status = 1;
    }
    routes_close(routes);
    return status;
}
