// SPDX-License-Identifier: BSL-1.0
// Both ends of the handshake between a parent and its child.
#include "process/child_link.hpp"

#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"

#include "os/credentials.hpp"
#include "os/fd_passing.hpp"
#include "os/socket.hpp"

#include <boost/version.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace mp::detail {
namespace {

constexpr std::uint32_t layout_number = 3;

struct BuildId {
    std::uint32_t bytes = 0;
    std::array<char, 64> digits{};

    void set(const std::string& hex) noexcept {
        bytes = static_cast<std::uint32_t>(std::min(hex.size(), digits.size()));
        std::memcpy(digits.data(), hex.data(), bytes);
    }

    std::string text() const {
        return {digits.data(), std::min<std::size_t>(bytes, digits.size())};
    }
};

struct Greeting {
    std::array<char, 8> magic{'m', 'p', 's', 't', 'a', 'r', 't', '\n'};
    std::uint32_t layout = layout_number;
    std::uint32_t boost_version = BOOST_VERSION;
    std::uint64_t body_bytes = 0;
    std::uint32_t fd_count = 0;
    std::uint32_t secret_count = 0;
    BuildId program{};  ///< empty if it has none
    BuildId library{};  ///< of the module that this library is a part of
};

struct Answer {
    std::uint32_t refused = 0;
    std::uint32_t text_bytes = 0;
};

// Descriptors need bytes to ride on, one for each batch.
constexpr std::size_t carrier_bytes = 256;
constexpr std::size_t most_fds = carrier_bytes * os::max_fds_in_message;

constexpr std::uint32_t most_secrets = 1U << 16U;
constexpr std::uint32_t longest_secret = 1U << 20U;

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

template <class T>
std::span<std::byte> room_of(T& value) {
    return std::as_writable_bytes(std::span(&value, 1));
}

// Of libmp-worker, which has loaded the parent's module.
void check_library(const std::string& parents) {
    const std::string own = library_build_id();
    if (own.empty()) {
        throw BinaryMismatch(
            library_path() + " has no build-id, so its functions have no name in "
                             "another process: link it with -Wl,--build-id"
        );
    }
    if (parents != own) {
        throw BinaryMismatch(
            library_path() + " has been replaced: its build-id is " + own +
            " now, the parent's is " + parents
        );
    }
}

struct SecretHeader {
    std::uint32_t bytes = 0;
    std::uint32_t uses = 0;
};

// Straight from its page, and into one: no copy stands anywhere else.
void send_secret(int socket, const TravellingSecret& one, const Deadline& deadline) {
    const auto bytes = one.secret.bytes();
    const SecretHeader header{
        .bytes = static_cast<std::uint32_t>(bytes.size()), .uses = one.uses};
    os::send_all(socket, bytes_of(header), bytes, deadline);
}

TravellingSecret receive_secret(int socket) {
    SecretHeader header;
    os::receive_exactly(socket, room_of(header), Deadline(forever));
    if (header.bytes > longest_secret) {
        throw BinaryMismatch(
            "the parent sent a key of " + std::to_string(header.bytes) + " bytes"
        );
    }
    TravellingSecret one{.secret = os::Secret(header.bytes), .uses = header.uses};
    os::receive_exactly(socket, one.secret.bytes(), Deadline(forever));
    return one;
}

void check_greeting(const Greeting& greeting) {
    const Greeting mine;
    if (greeting.magic != mine.magic) {
        throw BinaryMismatch("the parent does not speak the protocol of this library");
    }
    if (greeting.layout != mine.layout ||
        greeting.boost_version != mine.boost_version) {
        throw BinaryMismatch(
            "parent and child were built with different libraries: Boost " +
            std::to_string(greeting.boost_version) + " against " +
            std::to_string(mine.boost_version)
        );
    }
    if (greeting.fd_count > most_fds || greeting.secret_count > most_secrets) {
        throw BinaryMismatch("the parent's greeting makes no sense");
    }
    if (is_program_a_worker()) {
        check_library(greeting.library.text());
        return;
    }
    const std::string parents = greeting.program.text();
    const std::string own = program_build_id();
    if (parents != own) {
        throw BinaryMismatch(
            "the child runs another program than its parent: build-id " + own +
            ", the parent's is " + parents
        );
    }
}

}  // namespace

void send_start(
    int socket,
    std::span<const std::byte> body,
    std::span<const UniqueFd> fds,
    std::span<const TravellingSecret> secrets,
    const Deadline& deadline
) {
    Greeting greeting;
    greeting.secret_count = static_cast<std::uint32_t>(secrets.size());
    greeting.body_bytes = body.size();
    greeting.fd_count = static_cast<std::uint32_t>(fds.size());
    greeting.library.set(library_build_id());
    if (library_path().empty()) {
        greeting.program.set(program_build_id());
    } else {
        greeting.program.set(program_build_id_if_any()
        );  // a worker does not ask for it
    }
    os::send_packet(socket, bytes_of(greeting), {}, deadline);
    if (!fds.empty()) {
        const std::array<std::byte, carrier_bytes> carrier{};
        os::send_with_fds(socket, carrier, os::fd_numbers(fds), deadline);
    }
    os::send_all(socket, body, deadline);
    for (const TravellingSecret& one : secrets) {
        send_secret(socket, one, deadline);
    }
}

StartMessage receive_start(int socket) {
    const Deadline endless(forever);
    Greeting greeting;
    const os::Sender sender =
        os::receive_from_sender(socket, room_of(greeting), endless);
    if (!os::is_relative_of_own_user_or_root(sender.user)) {
        throw BinaryMismatch(
            "a child of user " + std::to_string(::geteuid()) +
            " runs nothing for user " + std::to_string(sender.user)
        );
    }
    check_greeting(greeting);
    StartMessage message;
    if (greeting.fd_count > 0) {
        std::array<std::byte, carrier_bytes> carrier{};
        message.fds =
            os::receive_exactly_with_fds(socket, carrier, greeting.fd_count, endless);
    }
    message.body.resize(greeting.body_bytes);
    if (!message.body.empty()) {
        os::receive_exactly(socket, message.body, endless);
    }
    for (std::uint32_t i = 0; i < greeting.secret_count; ++i) {
        message.secrets.push_back(receive_secret(socket));
    }
    return message;
}

void send_answer(int socket, const std::string& refusal) {
    const Deadline endless(forever);
    const Answer answer{
        .refused = refusal.empty() ? 0U : 1U,
        .text_bytes = static_cast<std::uint32_t>(refusal.size()),
    };
    os::send_all(socket, bytes_of(answer), endless);
    if (!refusal.empty()) {
        os::send_all(socket, std::as_bytes(std::span(refusal)), endless);
    }
}

void receive_answer(int socket, const Deadline& deadline) {
    Answer answer;
    os::receive_exactly(socket, room_of(answer), deadline);
    if (answer.refused == 0) {
        return;
    }
    std::string text(std::min<std::uint32_t>(answer.text_bytes, 1U << 16U), '\0');
    if (!text.empty()) {
        os::receive_exactly(socket, std::as_writable_bytes(std::span(text)), deadline);
    }
    throw BinaryMismatch(text);
}

}  // namespace mp::detail
