/* Prints the open TCP ports of a host: open_ports ADDRESS [FIRST [LAST]].
 *
 *     cc open_ports.c $(pkg-config --cflags --libs libporthole) -o open_ports */
#include <porthole.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static uint16_t ports[65536];
    size_t count;
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: open_ports ADDRESS [FIRST [LAST]]\n");
        return 2;
    }
    uint16_t first = (uint16_t)(argc > 2 ? atoi(argv[2]) : 1);
    uint16_t last = (uint16_t)(argc > 3 ? atoi(argv[3]) : 65535);
    int failed = porthole_open_ports(argv[1], first, last, ports, 65536, &count);
    if (failed) {
        fprintf(stderr, "open_ports: %s: %s\n", argv[1], strerror(-failed));
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        printf("%u\n", ports[i]);
    return 0;
}
