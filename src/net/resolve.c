/* Host names and this machine's own addresses, from the C library. */
#include "net/resolve.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>

/* Longer names cannot exist (RFC 1035 §2.3.4), and need not be quoted in full. */
#define NAME_SHOWN 253

static int out_of_memory(struct error *error)
{
    return error_set(error, ENOMEM, "out of memory");
}

static int family_number(enum address_family family)
{
    switch (family) {
    case ADDRESS_IPV4:
        return AF_INET;
    case ADDRESS_IPV6:
        return AF_INET6;
    case ADDRESS_NONE:
        break;
    }
    return AF_UNSPEC;
}

static const char *family_words(enum address_family family)
{
    switch (family) {
    case ADDRESS_IPV4:
        return "IPv4 address";
    case ADDRESS_IPV6:
        return "IPv6 address";
    case ADDRESS_NONE:
        break;
    }
    return "address";
}

/* A host of which the resolver says that it has no such address, or does not exist: with one family
 * asked for, some resolvers do not tell the two apart. */
static int no_host(const char *name, enum address_family family, struct error *error)
{
    if (family == ADDRESS_NONE)
        return error_set(error, ENOENT, "no such host: %.*s", NAME_SHOWN, name);
    return error_set(error, ENOENT, "no such host, or one without an %s: %.*s",
                     family_words(family), NAME_SHOWN, name);
}

/* Turns getaddrinfo()'s failure, with the errno that it left, into an error. */
static int resolve_failure(int failure, int code, const char *name, enum address_family family,
                           struct error *error)
{
    switch (failure) {
    case EAI_NONAME:
        return no_host(name, family, error);
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return error_set(error, ENOENT, "the host has no %s: %.*s", family_words(family),
                         NAME_SHOWN, name);
    case EAI_AGAIN:
        return error_set(error, EAGAIN,
                         "temporary failure: no name server answered; try again later, or give an "
                         "address: %.*s",
                         NAME_SHOWN, name);
    case EAI_FAIL:
        return error_set(error, EIO, "the name server failed, and trying again will not help: %.*s",
                         NAME_SHOWN, name);
    case EAI_MEMORY:
        return out_of_memory(error);
    case EAI_SYSTEM:
        if (code <= 0)
            code = EIO;
        return error_set(error, code, "cannot look up %.*s: %s", NAME_SHOWN, name, strerror(code));
    default:
        return error_set(error, EINVAL, "cannot look up %.*s: %s", NAME_SHOWN, name,
                         gai_strerror(failure));
    }
}

/* Adds the first, or all, of the addresses in `list` that are of a family we know. */
static int add_results(const struct addrinfo *list, enum resolve_which which,
                       struct address_set *set, size_t *ret_added)
{
    size_t count = 0, added = 0;
    for (const struct addrinfo *result = list; result; result = result->ai_next)
        count++;
    if (address_set_reserve(set, count) != 0)
        return -ENOMEM;
    for (const struct addrinfo *result = list; result; result = result->ai_next) {
        struct address address;
        if (!result->ai_addr || !address_from_sockaddr(result->ai_addr, &address, NULL))
            continue;
        address_set_add(set, &address, address.value);
        added++;
        if (which == RESOLVE_FIRST)
            break;
    }
    *ret_added = added;
    return 0;
}

/* Asks the system. `*ret_list` is the caller's to free. Returns 0 or -errno. */
static int ask(const char *name, enum address_family family, struct addrinfo **ret_list,
               struct error *error)
{
    /* Without AI_ADDRCONFIG: a host that has only IPv6 is told as such to a machine without it, and
     * the caller then says that there is no route. One socket type gives each address once. */
    const struct addrinfo hints = {.ai_family = family_number(family), .ai_socktype = SOCK_STREAM};
    errno = 0;
    const int failure = getaddrinfo(name, NULL, &hints, ret_list);
    return failure ? resolve_failure(failure, errno, name, family, error) : 0;
}

int resolve_ordered(const char *name, enum address_family family, struct address *addresses,
                    size_t maximum, size_t *ret_count, struct error *error)
{
    struct addrinfo *list = NULL;
    int failed = ask(name, family, &list, error);
    if (failed)
        return failed;
    size_t count = 0;
    for (const struct addrinfo *result = list; result && count < maximum; result = result->ai_next)
        if (result->ai_addr && address_from_sockaddr(result->ai_addr, &addresses[count], NULL))
            count++;
    freeaddrinfo(list);
    if (!count)
        return no_host(name, family, error);
    *ret_count = count;
    return 0;
}

int resolve_name(const char *name, enum address_family family, enum resolve_which which,
                 struct address_set *set, struct error *error)
{
    struct addrinfo *list = NULL;
    int failed = ask(name, family, &list, error);
    if (failed)
        return failed;
    size_t added = 0;
    int code = add_results(list, which, set, &added);
    freeaddrinfo(list);
    if (code != 0)
        return out_of_memory(error);
    return added > 0 ? 0 : no_host(name, family, error);
}

int resolve_self(enum address_family family, struct address_set *set, struct error *error)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        const int code = errno;
        return error_set(error, code, "cannot list this machine's addresses: %s", strerror(code));
    }
    size_t count = 0;
    for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next)
        count++;
    int code = address_set_reserve(set, count);
    for (const struct ifaddrs *entry = list; code == 0 && entry; entry = entry->ifa_next) {
        struct address address;
        /* An interface without any address has an entry without one. */
        if (!(entry->ifa_flags & IFF_UP) || !entry->ifa_addr ||
            !address_from_sockaddr(entry->ifa_addr, &address, NULL))
            continue;
        if (family == ADDRESS_NONE || address.family == family)
            address_set_add(set, &address, address.value);
    }
    freeifaddrs(list);
    return code != 0 ? out_of_memory(error) : 0;
}
