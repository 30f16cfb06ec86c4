// SPDX-License-Identifier: BSL-1.0
// Any bytes on the wire of a Connection: messages, or an error, never a crash; and what
// is taken for a message is one.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/send_handle.hpp"

#include "os/socket.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace {

using Bytes = std::span<const std::byte>;

// Takes what comes until there is no more; `taken` counts the bytes that messages had.
void read_bytes(mp::Connection& connection, std::size_t& taken) {
    for (;;) {
        taken += 4 + connection.recv_bytes().size();
    }
}

void read_short_bytes(mp::Connection& connection, std::size_t& taken) {
    for (;;) {
        taken += 4 + connection.recv_bytes(100).size();
    }
}

void read_into(mp::Connection& connection, std::size_t& taken) {
    std::array<std::byte, 64> buffer{};
    for (;;) {
        try {
            taken += 4 + connection.recv_bytes_into(buffer, 3);
        } catch (const mp::BufferTooShort& e) {
            taken += 4 + e.message.size();
        }
    }
}

template <class T>
void read_objects(mp::Connection& connection, std::size_t&) {
    for (;;) {
        try {
            connection.recv<T>();
        } catch (const mp::SerializationError&) {
            // The next message is whole all the same.
        }
    }
}

void read_handles(mp::Connection& connection, std::size_t&) {
    for (;;) {
        mp::recv_handle(connection);
    }
}

constexpr std::array readers{
    read_bytes,
    read_short_bytes,
    read_into,
    read_objects<std::string>,
    read_objects<std::map<std::string, std::vector<int>>>,
    read_objects<mp::Connection>,
    read_handles};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const Bytes bytes = std::as_bytes(std::span(data, size)).subspan(1);
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    mp::os::send_all(theirs.get(), bytes, mp::Deadline(mp::forever));
    theirs.reset();
    mp::Connection connection(std::move(ours));
    std::size_t taken = 0;
    try {
        readers[data[0] % readers.size()](connection, taken);
    } catch (const mp::EOFError&) {
    } catch (const std::system_error&) {
    }
    if (taken > bytes.size()) {
        std::abort();
    }
    return 0;
}
