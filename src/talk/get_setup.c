/* From the options to libcurl's, for one exchange. */
#include "base/clock.h"
#include "talk/get_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE ((long)256 << 10)
#define USER_AGENT "porthole/" PORTHOLE_VERSION

/* Remembers the first option that libcurl refused. */
struct setup {
    struct get *get;
    CURLcode code;
    const char *name;
};

static void note(struct setup *setup, CURLcode code, const char *name)
{
    if (code && !setup->code) {
        setup->code = code;
        setup->name = name;
    }
}

/* NULL leaves libcurl's default as it is. */
static void set_text(struct setup *setup, CURLoption option, const char *value, const char *name)
{
    if (value)
        note(setup, libcurl.easy_setopt(setup->get->easy, option, value), name);
}

/* NULL takes back what an earlier exchange had. */
static void set_or_clear(struct setup *setup, CURLoption option, const char *value,
                         const char *name)
{
    note(setup, libcurl.easy_setopt(setup->get->easy, option, value), name);
}

static void set_number(struct setup *setup, CURLoption option, long value, const char *name)
{
    note(setup, libcurl.easy_setopt(setup->get->easy, option, value), name);
}

static void set_list(struct setup *setup, CURLoption option, struct curl_slist *list,
                     const char *name)
{
    if (list)
        note(setup, libcurl.easy_setopt(setup->get->easy, option, list), name);
}

/* How the request is called, and what it carries. Each exchange has its own: a redirect may make a
 * GET of a POST. */
static void set_method(struct setup *setup)
{
    struct get *get = setup->get;
    const struct get_options *options = &get->options;
    bool as_given = !get->as_get || options->method_stays;
    /* Who calls it HEAD does not wait for a body, which would never come. */
    bool head =
        options->head || (options->method && as_given && strcasecmp(options->method, "HEAD") == 0);
    set_number(setup, CURLOPT_HTTPGET, 1, "the method");
    if (options->upload && !get->as_get) {
        set_number(setup, CURLOPT_UPLOAD, 1, "the upload");
    } else if (options->data && !options->data_in_url && !get->as_get) {
        curl_off_t length = (curl_off_t)options->data_length;
        set_number(setup, CURLOPT_POST, 1, "the data");
        note(setup, libcurl.easy_setopt(get->easy, CURLOPT_POSTFIELDSIZE_LARGE, length),
             "the data");
        note(setup, libcurl.easy_setopt(get->easy, CURLOPT_POSTFIELDS, options->data), "the data");
    } else if (head) {
        set_number(setup, CURLOPT_NOBODY, 1, "the method");
    }
    bool named = as_given && !options->head;
    set_or_clear(setup, CURLOPT_CUSTOMREQUEST, named ? options->method : NULL, "the method");
}

/* What is meant for the first host. */
static void set_secrets(struct setup *setup)
{
    struct get *get = setup->get;
    const struct get_options *options = &get->options;
    bool told = !get->elsewhere || options->trusted;
    const char *first = options->user ? options->user : get->user;
    const char *user = get->own_user ? get->own_user : told ? first : NULL;
    const char *cookie = told ? get->cookie.data : NULL;
    set_or_clear(setup, CURLOPT_USERPWD, user, "the user");
    set_or_clear(setup, CURLOPT_COOKIE, cookie, "the cookies");
    note(setup,
         libcurl.easy_setopt(get->easy, CURLOPT_HTTPHEADER, told ? get->headers : get->few_headers),
         "the headers");
}

static void set_request(struct setup *setup)
{
    const struct get_options *options = &setup->get->options;
    static const long auths[] = {
        [GET_AUTH_BASIC] = (long)CURLAUTH_BASIC,
        [GET_AUTH_DIGEST] = (long)CURLAUTH_DIGEST,
        [GET_AUTH_ANY] = (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST),
    };
    const char *agent = options->user_agent ? options->user_agent : USER_AGENT;
    set_text(setup, CURLOPT_USERAGENT, *agent ? agent : NULL, "the user agent");
    set_text(setup, CURLOPT_REFERER, options->referer, "the referrer");
    set_text(setup, CURLOPT_RANGE, options->range, "the range");
    set_number(setup, CURLOPT_HTTPAUTH, auths[options->auth], "the authentication");
    set_text(setup, CURLOPT_ACCEPT_ENCODING, options->compressed ? "" : NULL, "compression");
    set_number(setup, CURLOPT_PATH_AS_IS, options->path_as_is, "the path");
    set_text(setup, CURLOPT_REQUEST_TARGET, options->request_target, "the request target");
    for (size_t i = 0; i < options->cookies.count; i++) {
        const char *item = options->cookies.items[i];
        set_text(setup, CURLOPT_COOKIEFILE, strchr(item, '=') ? NULL : item, "the cookies");
    }
    set_text(setup, CURLOPT_COOKIEJAR, options->cookie_jar, "the cookie jar");
}

static void set_way(struct setup *setup)
{
    const struct get_options *options = &setup->get->options;
    static const long versions[] = {
        [GET_VERSION_ANY] = CURL_HTTP_VERSION_2TLS,
        [GET_VERSION_1_0] = CURL_HTTP_VERSION_1_0,
        [GET_VERSION_1_1] = CURL_HTTP_VERSION_1_1,
        [GET_VERSION_2] = CURL_HTTP_VERSION_2_0,
        [GET_VERSION_2_PRIOR] = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
    };
    long family = options->ipv4 == options->ipv6 ? CURL_IPRESOLVE_WHATEVER
                  : options->ipv4                ? CURL_IPRESOLVE_V4
                                                 : CURL_IPRESOLVE_V6;
    set_number(setup, CURLOPT_HTTP_VERSION, versions[options->version], "the HTTP version");
    set_number(setup, CURLOPT_IPRESOLVE, family, "the address family");
    set_text(setup, CURLOPT_INTERFACE, options->interface, "the interface");
    set_text(setup, CURLOPT_UNIX_SOCKET_PATH, options->unix_socket, "the Unix socket");
    set_list(setup, CURLOPT_RESOLVE, setup->get->resolve, "the addresses");
    set_list(setup, CURLOPT_CONNECT_TO, setup->get->connect_to, "the other hosts");
    set_text(setup, CURLOPT_PROXY, options->proxy, "the proxy");
    set_text(setup, CURLOPT_PROXYUSERPWD, options->proxy_user, "the proxy's user");
    set_text(setup, CURLOPT_NOPROXY, options->no_proxy, "the hosts without a proxy");
    set_number(setup, CURLOPT_TCP_KEEPALIVE, 1, "the connection");
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static void set_tls(struct setup *setup)
{
    const struct get_options *options = &setup->get->options;
    CURL *easy = setup->get->easy;
    static const long versions[] = {
        [GET_TLS_ANY] = CURL_SSLVERSION_DEFAULT,
        [GET_TLS_1_2] = CURL_SSLVERSION_TLSv1_2,
        [GET_TLS_1_3] = CURL_SSLVERSION_TLSv1_3,
    };
    set_number(setup, CURLOPT_SSLVERSION, versions[options->tls_version], "the TLS version");
    set_number(setup, CURLOPT_SSL_VERIFYPEER, !options->insecure, "the verification");
    set_number(setup, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0 : 2, "the verification");
    if (options->authorities) { /* instead of what libcurl was built with, not beside it */
        bool directory = is_directory(options->authorities);
        libcurl.easy_setopt(easy, CURLOPT_CAPATH, directory ? options->authorities : NULL);
        libcurl.easy_setopt(easy, CURLOPT_CAINFO, directory ? NULL : options->authorities);
    }
    set_text(setup, CURLOPT_SSLCERT, options->certificate, "the certificate");
    set_text(setup, CURLOPT_SSLKEY, options->key, "the key");
    set_text(setup, CURLOPT_KEYPASSWD, options->key_password, "the key's password");
}

/* libcurl counts milliseconds; 0 would be no limit. */
static long milliseconds(uint64_t nanoseconds)
{
    uint64_t count = nanoseconds / NANOSECONDS_PER_MILLISECOND;
    return count == 0 ? 1 : count > (uint64_t)1 << 30 ? 1 << 30 : (long)count;
}

static void set_times(struct setup *setup)
{
    const struct get *get = setup->get;
    const struct get_options *options = &get->options;
    if (options->connect_timeout)
        set_number(setup, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options->connect_timeout),
                   "the timeout");
    if (options->timeout) {
        uint64_t gone = clock_monotonic() - get->started;
        uint64_t left = gone < options->timeout ? options->timeout - gone : 0;
        set_number(setup, CURLOPT_TIMEOUT_MS, milliseconds(left), "the time");
    }
}

static int open_upload(struct get *get, struct error *error)
{
    const char *path = get->options.upload;
    bool standard = strcmp(path, "-") == 0;
    struct stat status;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                      : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return error_set(error, code, "cannot open '%s': %s", path, strerror(code));
    }
    get->upload = fd;
    off_t at =
        standard && get->sums.redirects > 0 ? lseek(fd, 0, SEEK_SET) : lseek(fd, 0, SEEK_CUR);
    if (get->sums.redirects > 0 && at < 0)
        return error_set(error, ESPIPE,
                         "the redirect wants the upload anew, which '%s' cannot give", path);
    bool known = S_ISREG(status.st_mode) && at >= 0 && status.st_size >= at;
    libcurl.easy_setopt(get->easy, CURLOPT_INFILESIZE_LARGE,
                        known ? (curl_off_t)(status.st_size - at) : (curl_off_t)-1);
    return 0;
}

/* What holds for every exchange. */
static void set_once(struct setup *setup)
{
    struct get *get = setup->get;
    set_text(setup, CURLOPT_PROTOCOLS_STR, "http,https", "the protocols");
    set_number(setup, CURLOPT_NOSIGNAL, 1, "signals");
    set_number(setup, CURLOPT_BUFFERSIZE, READ_SIZE, "memory");
#if LIBCURL_VERSION_NUM >= 0x075700
    set_number(setup, CURLOPT_QUICK_EXIT, 1, "threads"); /* no waiting for a name server */
#endif
    note(setup, libcurl.easy_setopt(get->easy, CURLOPT_ERRORBUFFER, get->message), "messages");
    set_request(setup);
    set_way(setup);
    set_tls(setup);
    get_set_callbacks(get);
}

static void set_url(struct setup *setup)
{
    char *text = NULL;
    if (libcurl.url_get(setup->get->url, CURLUPART_URL, &text, 0))
        note(setup, CURLE_OUT_OF_MEMORY, "the URL");
    set_text(setup, CURLOPT_URL, text, "the URL");
    libcurl.free(text);
}

int get_set_up(struct get *get, struct error *error)
{
    struct setup setup = {.get = get};
    if (!get->ready)
        set_once(&setup);
    set_url(&setup);
    set_method(&setup);
    set_secrets(&setup);
    set_times(&setup);
    if (setup.code == CURLE_OUT_OF_MEMORY)
        return error_set(error, ENOMEM, "out of memory");
    if (setup.code)
        return error_set(error, EINVAL, "libcurl refuses %s: %s", setup.name,
                         libcurl.easy_strerror(setup.code));
    get->ready = true;
    return get->options.upload && !get->as_get ? open_upload(get, error) : 0;
}
