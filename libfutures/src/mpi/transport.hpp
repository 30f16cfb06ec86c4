// SPDX-License-Identifier: BSL-1.0
// Transport: frames between this process and its peers. The master's peers are the
// ranks that serve, in the order of their ranks; a rank's only peer, 0, is the master.
// Nothing else of the executor knows how they travel.
// Threads: one, but for what says any.
#pragma once

#include "mpi/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace futures::detail {

/// A send that may still be under way.
using Ticket = std::uint32_t;
inline constexpr Ticket nothing_sent = ~Ticket{0};

/// Gets what comes. What it throws leaves Transport::receive(); the frame is gone then.
class FrameSink {
public:
    FrameSink() = default;
    FrameSink(const FrameSink&) = delete;
    FrameSink& operator=(const FrameSink&) = delete;

    /// A short frame; the payload is there during the call.
    virtual void take(
        std::size_t peer, const MessageHead& head, std::span<const std::byte> payload
    ) = 0;

    /// A long one, whose payload begins at `offset`.
    virtual void take_long(
        std::size_t peer, const MessageHead& head, FrameBytes bytes, std::size_t offset
    ) = 0;

    /// A long one came, and there was no memory for it.
    virtual void take_none(std::size_t peer, const MessageHead& head) = 0;

    /// That peer is gone, and nothing comes from it any more. Only of transports that
    /// outlive it.
    virtual void take_loss(std::size_t peer) = 0;

protected:
    ~FrameSink() = default;
};

class Transport {
public:
    Transport() = default;
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;
    virtual ~Transport() = default;

    virtual std::size_t peers() const noexcept = 0;

    /// Begins to send. `payload` stays as it is until is_sent(). Throws MPIError,
    /// std::bad_alloc.
    virtual Ticket
    send(std::size_t peer, MessageHead head, std::span<const std::byte> payload) = 0;

    /// Whether that has gone; if so the ticket is not to be used again. Throws
    /// MPIError.
    virtual bool is_sent(Ticket ticket) = 0;

    /// Gives the sink what has come; false: nothing had. Throws MPIError,
    /// std::bad_alloc.
    virtual bool receive(FrameSink& sink) = 0;

    /// Whether some long frame has come in part.
    virtual bool is_receiving() const noexcept = 0;

    /// Whether other threads may use what it uses at the same time.
    virtual bool is_shared() const noexcept = 0;

    /// Whether nobody rings when something comes.
    virtual bool is_polled() const noexcept = 0;
};

}  // namespace futures::detail
