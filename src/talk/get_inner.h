/* What the files of get share. */
#pragma once

#include "talk/get.h"
#include "talk/libcurl.h"

struct get {
    struct get_options options;
    struct get_events events;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;     /* of the options, files read */
    struct curl_slist *few_headers; /* those of them that another host may see */
    struct curl_slist *resolve, *connect_to;
    struct buffer cookie; /* those that were given as text */
    bool ready;           /* libcurl has the options that hold for every exchange */

    /* Of the URL that is being asked for. */
    CURLU *url;       /* where we are */
    CURLU *next;      /* where the answer leads; NULL: nowhere, or it is not followed */
    CURLU *first;     /* where we began */
    char *user;       /* that the first URL had in it; NULL: none */
    char *own_user;   /* that a redirect had in it */
    bool elsewhere;   /* what is meant for the first host stays behind */
    bool as_get;      /* a redirect has made a GET of it */
    uint64_t started; /* monotonic */
    struct get_sums sums;

    /* Of the exchange that is going on. */
    int upload;        /* descriptor, or -1 */
    bool upload_waits; /* nothing to read from it yet */
    uint64_t body_bytes;
    bool body_begun;
    bool swallows; /* the body of a redirect: nobody is to see it */
    bool stopped;  /* by `stop` */
    bool has_tls;
    struct tls_description tls;
    int failed; /* -errno of a callback, or of ours, which `error` describes */
    struct error error;
    char message[CURL_ERROR_SIZE];
};

/* Gives libcurl its options for one exchange. Returns 0 or -errno with an error. */
int get_set_up(struct get *get, struct error *error);

/* Makes libcurl call what is in get_wire.c. */
void get_set_callbacks(struct get *get);

/* The status of the answer that has begun; 0: none. */
unsigned get_status(struct get *get);

/* Reads a word as a URL into `url`, of http or https, and takes user and password ("NAME:PASSWORD",
 * NULL: none) out of it. Returns 0 or -errno with an error. */
int get_read_url(CURLU *url, const char *word, bool secure_ports, char **ret_user,
                 struct error *error);

/* Do both have the same scheme, host and port? */
bool get_same_origin(CURLU *one, CURLU *other);

/* Hands over the exchange that is over, `redirect` being where it leads (NULL: nowhere). Returns
 * 0 or -ENOMEM. */
int get_tell_exchange(struct get *get, CURLcode code, int failed, uint64_t began,
                      const char *redirect, bool followed);
