/* libcurl, opened when it is first needed: it brings thirty libraries along, and a scan or a list
 * of sockets is not to wait for them, nor to hold them in memory. */
#pragma once

#include "base/error.h"

#include <curl/curl.h>

/* What is used of it, without its prefix. */
#define LIBCURL_FUNCTIONS(FUNCTION)                                                                \
    FUNCTION(global_init)                                                                          \
    FUNCTION(free)                                                                                 \
    FUNCTION(easy_init)                                                                            \
    FUNCTION(easy_cleanup)                                                                         \
    FUNCTION(easy_setopt)                                                                          \
    FUNCTION(easy_getinfo)                                                                         \
    FUNCTION(easy_header)                                                                          \
    FUNCTION(easy_nextheader)                                                                      \
    FUNCTION(easy_pause)                                                                           \
    FUNCTION(easy_strerror)                                                                        \
    FUNCTION(multi_init)                                                                           \
    FUNCTION(multi_cleanup)                                                                        \
    FUNCTION(multi_add_handle)                                                                     \
    FUNCTION(multi_remove_handle)                                                                  \
    FUNCTION(multi_perform)                                                                        \
    FUNCTION(multi_poll)                                                                           \
    FUNCTION(multi_info_read)                                                                      \
    FUNCTION(slist_append)                                                                         \
    FUNCTION(slist_free_all)                                                                       \
    FUNCTION(url)                                                                                  \
    FUNCTION(url_cleanup)                                                                          \
    FUNCTION(url_dup)                                                                              \
    FUNCTION(url_get)                                                                              \
    FUNCTION(url_set)                                                                              \
    FUNCTION(url_strerror)

#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
struct libcurl {
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
};
#undef LIBCURL_MEMBER

/* Valid once libcurl_open() has succeeded. */
extern struct libcurl libcurl;

/* Opens it and prepares it, the first time; of one thread. Returns 0, or -ENOENT (it is not
 * installed, or lacks a function) or -ENOMEM with an error. */
int libcurl_open(struct error *error);
