// SPDX-License-Identifier: BSL-1.0
// Client(): connects to the first of an address's endpoints that answers, and proves
// the key.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "os/hmac.hpp"
#include "wire/endpoint.hpp"
#include "wire/handshake.hpp"

#include <exception>
#include <stdexcept>
#include <system_error>

namespace mp::connection {

namespace {

UniqueFd call(const ClientOptions& options, const Deadline& deadline) {
    if (options.address.empty()) {
        throw std::invalid_argument("a Client needs an address");
    }
    // A host's name may have several: the first that answers is meant.
    std::exception_ptr failure;
    for (const detail::Endpoint& endpoint :
         detail::endpoints_of(options.address, options.family, false)) {
        try {
            return detail::connect_to(endpoint, deadline);
        } catch (const std::system_error&) {
            if (!failure) {
                failure = std::current_exception();
            }
        }
    }
    std::rethrow_exception(failure);
}

}  // namespace

Connection Client(const ClientOptions& options) {
    const Deadline deadline(options.timeout);
    if (options.authkey) {
        os::load_crypto();
    }
    UniqueFd socket = call(options, deadline);
    if (options.authkey) {
        detail::Handshake(
            detail::HandshakeSide::client,
            *options.authkey,
            {.allow_cpython = options.allow_cpython, .allow_md5 = options.allow_md5}
        )
            .run(socket.get(), deadline);
    }
    return Connection(std::move(socket));
}

}  // namespace mp::connection
