/* The process's limit of file descriptors, raised while somebody needs many. */
#pragma once

#include <stdint.h>

/* Raises the soft limit to the hard one until descriptors_restore() has been called as often. May
 * be called from several threads. Returns the limit that holds now. */
uint64_t descriptors_raise(void);

/* Puts the soft limit back that held before the first call of descriptors_raise(). */
void descriptors_restore(void);
