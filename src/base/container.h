/* From what is embedded in a struct to that struct. */
#pragma once

#include <stddef.h>

#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
