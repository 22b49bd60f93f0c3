/* Fuzzing of error_queue_read(): no length in a message is believed, and an error that is found
 * makes a port filtered. The input is the length of the name, the name, and the control messages.
 */
#include "probe/error_queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Memory that ends where the bytes end. */
static void *copy(const uint8_t *bytes, size_t length)
{
    void *memory = malloc(length ? length : 1);
    require(memory);
    memcpy(memory, bytes, length);
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1 || length - 1 < bytes[0])
        return 0;
    const size_t name_length = bytes[0];
    struct msghdr message = {
        .msg_name = copy(bytes + 1, name_length),
        .msg_namelen = (socklen_t)name_length,
        .msg_control = copy(bytes + 1 + name_length, length - 1 - name_length),
        .msg_controllen = length - 1 - name_length,
    };
    struct icmp_error error = {0};
    if (error_queue_read(&message, &error)) {
        require(error.to.address.family != ADDRESS_NONE && error.to.port.protocol == PROTOCOL_TCP);
        require(error.reason > 0 && error.reason < REASON_COUNT);
        require(reason_state(error.reason) == STATE_FILTERED);
        require(error.from.family == ADDRESS_NONE ||
                error.from.value <= address_maximum(error.from.family));
    } else {
        require(error.to.address.family == ADDRESS_NONE);
    }
    free(message.msg_name);
    free(message.msg_control);
    return 0;
}
