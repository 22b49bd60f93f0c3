/* URLs: what a word means, which of them are of one origin, and what a file is named after one. */
#include "talk/get_inner.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (CURLU_URLENCODE | CURLU_PATH_AS_IS) /* libcurl itself takes "/../" out, or not */

/* Does it begin with "SCHEME://"? */
static bool has_scheme(const char *word)
{
    size_t length = 0;
    while (isalnum((unsigned char)word[length]) || (word[length] && strchr("+-.", word[length])))
        length++;
    return length > 0 && strncmp(word + length, "://", 3) == 0;
}

static int refuse(const char *word, CURLUcode code, struct error *error)
{
    if (code == CURLUE_OUT_OF_MEMORY)
        return error_set(error, ENOMEM, "out of memory");
    return error_set(error, EINVAL, "'%.120s' is no URL: %s", word, libcurl.url_strerror(code));
}

/* "NAME:PASSWORD" of the URL, or NULL, and the URL without it. */
static int take_user(CURLU *url, char **ret_user)
{
    char *name = NULL, *password = NULL, *user = NULL;
    libcurl.url_get(url, CURLUPART_USER, &name, CURLU_URLDECODE);
    libcurl.url_get(url, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
    int r = 0;
    if ((name || password) &&
        asprintf(&user, "%s:%s", name ? name : "", password ? password : "") < 0) {
        user = NULL;
        r = -ENOMEM;
    }
    libcurl.free(name);
    libcurl.free(password);
    if (libcurl.url_set(url, CURLUPART_USER, NULL, 0) ||
        libcurl.url_set(url, CURLUPART_PASSWORD, NULL, 0))
        r = -ENOMEM;
    if (r == 0)
        *ret_user = user;
    else
        free(user);
    return r;
}

/* The ports at which a word without a scheme is most likely meant for https. */
static bool is_secure_port(CURLU *url)
{
    char *port = NULL;
    libcurl.url_get(url, CURLUPART_PORT, &port, 0);
    bool secure = port && (strcmp(port, "443") == 0 || strcmp(port, "8443") == 0);
    libcurl.free(port);
    return secure;
}

static int check_scheme(CURLU *url, struct error *error)
{
    char *scheme = NULL;
    libcurl.url_get(url, CURLUPART_SCHEME, &scheme, 0);
    bool known = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    int r = known ? 0
                  : error_set(error, EPROTONOSUPPORT, "'%.40s' is not spoken: http and https are",
                              scheme ? scheme : "");
    libcurl.free(scheme);
    return r;
}

int get_read_url(CURLU *url, const char *word, bool secure_ports, char **ret_user,
                 struct error *error)
{
    char *text = NULL;
    bool whole = has_scheme(word);
    if (asprintf(&text, "%s%s", whole ? "" : "http://", word) < 0)
        return error_set(error, ENOMEM, "out of memory");
    CURLUcode code = libcurl.url_set(url, CURLUPART_URL, text, FLAGS | CURLU_NON_SUPPORT_SCHEME);
    free(text);
    if (!code && !whole && secure_ports && is_secure_port(url))
        code = libcurl.url_set(url, CURLUPART_SCHEME, "https", 0);
    if (code)
        return refuse(word, code, error);
    int r = check_scheme(url, error);
    if (r == 0 && take_user(url, ret_user) < 0)
        r = error_set(error, ENOMEM, "out of memory");
    return r;
}

static bool same_part(CURLU *one, CURLU *other, CURLUPart part, unsigned flags)
{
    char *a = NULL, *b = NULL;
    bool both = !libcurl.url_get(one, part, &a, flags) && !libcurl.url_get(other, part, &b, flags);
    bool same = both && strcasecmp(a, b) == 0;
    libcurl.free(a);
    libcurl.free(b);
    return same;
}

bool get_same_origin(CURLU *one, CURLU *other)
{
    return same_part(one, other, CURLUPART_SCHEME, 0) && same_part(one, other, CURLUPART_HOST, 0) &&
           same_part(one, other, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

/* The part of the path behind its last slash. */
static int copy_name(CURLU *url, const char *word, char **ret_name, struct error *error)
{
    char *path = NULL;
    if (libcurl.url_get(url, CURLUPART_PATH, &path, 0))
        return error_set(error, ENOMEM, "out of memory");
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    bool usable = *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    char *copy = usable ? strdup(name) : NULL;
    libcurl.free(path);
    if (!usable)
        return error_set(error, EINVAL, "'%.120s' names no file: give -o FILE", word);
    if (!copy)
        return error_set(error, ENOMEM, "out of memory");
    *ret_name = copy;
    return 0;
}

int get_file_name(const char *word, char **ret_name, struct error *error)
{
    int r = libcurl_open(error);
    if (r < 0)
        return r;
    char *user = NULL;
    CURLU *url = libcurl.url();
    if (!url)
        return error_set(error, ENOMEM, "out of memory");
    r = get_read_url(url, word, false, &user, error);
    if (r == 0)
        r = copy_name(url, word, ret_name, error);
    free(user);
    libcurl.url_cleanup(url);
    return r == -EPROTONOSUPPORT ? -EINVAL : r;
}
