// SPDX-License-Identifier: BSL-1.0
// Handshake: one side of the exchange by which both ends of a connection prove that
// they hold the same key: docs/protocols/authentication.md. It never blocks, so that
// one thread can have many under way.
#pragma once

#include "mp/identity.hpp"
#include "mp/timeout.hpp"

#include "wire/challenge.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mp::detail {

/// Which part comes first, or which one is wanted alone.
enum class HandshakeRole : std::uint8_t { server, client, deliver, answer };

class Handshake {
public:
    enum class Wants : std::uint8_t { reading, writing, nothing };

    Handshake(HandshakeRole role, AuthenticationString key, Md5 md5);

    /// Goes on as far as the socket allows; returns what to wait for, `nothing` when
    /// both sides are satisfied. Throws AuthenticationError: the other side does not
    /// hold the key or does not keep to the protocol (it was told, where the protocol
    /// has words for it). EOFError and std::system_error: it is gone.
    Wants advance(int socket);

    /// Blocks until it is done. Throws as advance(), and TimeoutError.
    void run(int socket, const Deadline& deadline);

private:
    enum class Step : std::uint8_t {
        send_challenge,
        receive_response,
        send_verdict,
        receive_challenge,
        send_response,
        receive_verdict,
    };
    using Message = std::span<const std::byte>;

    bool sends() const noexcept;
    std::vector<std::byte> message_to_send();
    void take_message(Message message);
    void judge(Message response);
    std::size_t longest_frame() const noexcept;
    std::optional<Message> whole_message() const;

    // Set once in the constructor.
    std::span<const Step> steps_;
    AuthenticationString key_;
    Md5 md5_;
    // The rest belongs to the thread that advances.
    std::size_t step_ = 0;
    std::vector<std::byte> challenge_;  // ours, then the other side's
    std::optional<std::string> refusal_;
    std::vector<std::byte> outgoing_;
    std::size_t sent_ = 0;
    std::array<std::byte, 4 + 256> incoming_{};
    std::size_t received_ = 0;
};

}  // namespace mp::detail
