/* What the program inside the kernel tells of a descriptor that is a socket. */
#pragma once

#include <stdint.h>

struct owner_record {
    uint32_t inode;
    int32_t pid, fd;
};
