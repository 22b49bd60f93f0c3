/* Finding libcurl and its functions at run time. */
#include "talk/libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* its binary interface since 2006 */

struct libcurl libcurl;

static const struct {
    const char *name;
    size_t offset; /* in struct libcurl */
} functions[] = {
#define ROW(name) {"curl_" #name, offsetof(struct libcurl, name)},
    LIBCURL_FUNCTIONS(ROW)
#undef ROW
};

static int find_functions(void *library, struct error *error)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *function = dlsym(library, functions[i].name);
        if (!function)
            return error_set(error, ENOENT, "%s is too old: it has no %s()", LIBRARY,
                             functions[i].name);
        memcpy((char *)&libcurl + functions[i].offset, &function, sizeof(function));
    }
    return 0;
}

int libcurl_open(struct error *error)
{
    static bool opened;
    if (opened)
        return 0;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(error, ENOENT, "HTTP needs libcurl: %s", dlerror());
    int r = find_functions(library, error);
    if (r == 0 && libcurl.global_init(CURL_GLOBAL_DEFAULT))
        r = error_set(error, ENOMEM, "libcurl does not start");
    if (r < 0)
        dlclose(library);
    else
        opened = true;
    return r;
}
