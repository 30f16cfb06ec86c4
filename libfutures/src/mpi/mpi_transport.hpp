// SPDX-License-Identifier: BSL-1.0
// MpiTransport: frames as messages of a communicator of our own. A short frame is one
// message; of a long one the head comes first, and the payload in pieces behind it,
// since MPI counts with an int. MPI keeps the order of what one rank sends another.
// Threads: one at a time.
#pragma once

#include "mpi/mpi_call.hpp"
#include "mpi/transport.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

namespace futures::detail {

class MpiTransport final : public Transport {
public:
    /// `ranks`: the peers, in `comm`, which lives longer. The master has others' tags
    /// than those who serve.
    MpiTransport(MPI_Comm comm, std::vector<int> ranks, bool is_master);
    ~MpiTransport() override;

    std::size_t peers() const noexcept override { return ranks_.size(); }

    Ticket send(std::size_t peer, MessageHead head, std::span<const std::byte> payload)
        override;
    bool is_sent(Ticket ticket) override;
    bool receive(FrameSink& sink) override;

    bool is_receiving() const noexcept override { return coming_now_ != 0; }

    bool is_shared() const noexcept override { return is_shared_; }

    bool is_polled() const noexcept override { return true; }

private:
    /// A longer payload is not copied to stand behind its head.
    static constexpr std::size_t longest_short = 4096;
    static constexpr std::size_t longest_piece = std::size_t{1} << 30U;
    /// Some MPIs look first and make progress afterwards: one look sees nothing.
    static constexpr int looks = 8;
    /// Then others have their turn.
    static constexpr int most_at_once = 64;

    struct Sending {
        FrameBytes copy;
        std::vector<MPI_Request> requests;
    };

    /// A long frame that is coming.
    struct Coming {
        MessageHead head;
        FrameBytes bytes;
        std::uint64_t received = 0;
        std::size_t piece = 0;  ///< that is being received
        MPI_Request request = MPI_REQUEST_NULL;
        bool is_there = false;
        bool is_dropped = false;  ///< there is no memory for it
    };

    /// Whether `code` says that ranks have failed, in an MPI that goes on without them.
    bool is_of_failed_ranks(int code) const noexcept;
    bool look_for_failed_ranks(FrameSink& sink);
    void
    begin_send(std::size_t peer, Sending& sending, std::span<const std::byte> bytes);
    bool look_once(FrameSink& sink);
    void
    take_message(FrameSink& sink, std::size_t peer, MPI_Message& message, int count);
    void take_piece(FrameSink& sink, std::size_t peer, MPI_Message& message, int count);
    bool go_on_receiving(FrameSink& sink);
    void end_if_complete(FrameSink& sink, std::size_t peer);
    std::size_t peer_with(int rank) const;

    const MPI_Comm comm_;
    const std::vector<int> ranks_;
    const int tag_out_;
    const int tag_in_;
    bool is_shared_ = false;
    std::vector<std::size_t> peers_;  ///< by rank
    std::vector<Sending> sendings_;
    std::vector<Ticket> free_;
    std::vector<Coming> coming_;       ///< by peer
    [[maybe_unused]] int failed_ = 0;  ///< ranks that are known to have failed
    std::size_t coming_now_ = 0;       ///< how many of these are being received
    alignas(MessageHead
    ) std::array<std::byte, sizeof(MessageHead) + longest_short> room_{};
};

}  // namespace futures::detail
