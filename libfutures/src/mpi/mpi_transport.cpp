// SPDX-License-Identifier: BSL-1.0
#include "mpi/mpi_transport.hpp"

#include "mp/detail/bytes.hpp"

#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace futures::detail {

namespace {

constexpr int tag_to_rank = 1;
constexpr int tag_to_master = 2;

[[noreturn]] void throw_unknown_message(const std::string& what) {
    throw MPIError("a message that is none of this library's: " + what, MPI_ERR_OTHER);
}

}  // namespace

MpiTransport::MpiTransport(MPI_Comm comm, std::vector<int> ranks, bool is_master)
    : comm_(comm),
      ranks_(std::move(ranks)),
      tag_out_(is_master ? tag_to_rank : tag_to_master),
      tag_in_(is_master ? tag_to_master : tag_to_rank),
      coming_(ranks_.size()) {
    int level = MPI_THREAD_SINGLE;
    mpi_check(MPI_Query_thread(&level), "MPI_Query_thread");
    is_shared_ = level == MPI_THREAD_MULTIPLE;
    const int most = *std::max_element(ranks_.begin(), ranks_.end());
    peers_.assign(static_cast<std::size_t>(most) + 1, ranks_.size());
    for (std::size_t peer = 0; peer < ranks_.size(); ++peer) {
        peers_[static_cast<std::size_t>(ranks_[peer])] = peer;
    }
}

MpiTransport::~MpiTransport() = default;

// User-level failure mitigation, which OpenMPI has from version 5 on, if it was built
// and started with it. Elsewhere a rank that fails takes the job along.
#ifdef OMPI_HAVE_MPI_EXT_FTMPI

bool MpiTransport::is_of_failed_ranks(int code) const noexcept {
    int error_class = MPI_SUCCESS;
    MPI_Error_class(code, &error_class);
    return error_class == MPIX_ERR_PROC_FAILED ||
           error_class == MPIX_ERR_PROC_FAILED_PENDING;
}

bool MpiTransport::look_for_failed_ranks(FrameSink& sink) {
    int acknowledged = 0;
    mpi_check(
        MPIX_Comm_ack_failed(comm_, static_cast<int>(ranks_.size()) + 1, &acknowledged),
        "MPIX_Comm_ack_failed"
    );
    if (acknowledged == failed_) {
        return false;
    }
    failed_ = acknowledged;
    MPI_Group all = MPI_GROUP_NULL;
    MPI_Group failed = MPI_GROUP_NULL;
    mpi_check(MPI_Comm_group(comm_, &all), "MPI_Comm_group");
    mpi_check(MPIX_Comm_get_failed(comm_, &failed), "MPIX_Comm_get_failed");
    for (int i = 0; i < acknowledged; ++i) {
        int rank = MPI_UNDEFINED;
        mpi_check(
            MPI_Group_translate_ranks(failed, 1, &i, all, &rank),
            "MPI_Group_translate_ranks"
        );
        const auto place = static_cast<std::size_t>(rank);
        if (rank != MPI_UNDEFINED && place < peers_.size() &&
            peers_[place] != ranks_.size()) {
            sink.take_loss(peers_[place]);  // others' loss is not ours
        }
    }
    MPI_Group_free(&failed);
    MPI_Group_free(&all);
    return true;
}

#else

bool MpiTransport::is_of_failed_ranks(int /*code*/) const noexcept {
    return false;
}

bool MpiTransport::look_for_failed_ranks(FrameSink& /*sink*/) {
    return false;
}

#endif

Ticket MpiTransport::send(
    std::size_t peer, MessageHead head, std::span<const std::byte> payload
) {
    head.length = payload.size();
    if (free_.empty()) {
        sendings_.emplace_back();
        // Whatever happens then, there is room for its number.
        free_.reserve(sendings_.size());
        free_.push_back(static_cast<Ticket>(sendings_.size() - 1));
    }
    const Ticket ticket = free_.back();
    Sending& sending = sendings_[ticket];
    const bool is_short = payload.size() <= longest_short;
    const std::size_t copied = sizeof head + (is_short ? payload.size() : 0);
    if (sending.copy.size() < copied) {
        sending.copy = FrameBytes(std::max<std::size_t>(copied, 512));
    }
    std::memcpy(sending.copy.data(), &head, sizeof head);
    if (is_short && !payload.empty()) {
        std::memcpy(sending.copy.data() + sizeof head, payload.data(), payload.size());
    }
    sending.requests.reserve(2 + payload.size() / longest_piece);
    free_.pop_back();
    begin_send(peer, sending, sending.copy.bytes().first(copied));
    if (!is_short) {
        for (std::size_t at = 0; at < payload.size(); at += longest_piece) {
            begin_send(
                peer,
                sending,
                payload.subspan(at, std::min(longest_piece, payload.size() - at))
            );
        }
    }
    return is_sent(ticket) ? nothing_sent : ticket;
}

void MpiTransport::begin_send(
    std::size_t peer, Sending& sending, std::span<const std::byte> bytes
) {
    MPI_Request request = MPI_REQUEST_NULL;
    const int code = MPI_Isend(
        bytes.data(),
        static_cast<int>(bytes.size()),
        MPI_BYTE,
        ranks_[peer],
        tag_out_,
        comm_,
        &request
    );
    if (is_of_failed_ranks(code)) {
        return;  // receive() tells of it
    }
    mpi_check(code, "MPI_Isend");
    sending.requests.push_back(request);
}

bool MpiTransport::is_sent(Ticket ticket) {
    Sending& sending = sendings_[ticket];
    while (!sending.requests.empty()) {
        int done = 0;
        const int code = MPI_Test(&sending.requests.back(), &done, MPI_STATUS_IGNORE);
        if (!is_of_failed_ranks(code)) {  // of which receive() tells
            mpi_check(code, "MPI_Test");
            if (done == 0) {
                return false;
            }
        }
        sending.requests.pop_back();
    }
    free_.push_back(ticket);
    return true;
}

bool MpiTransport::receive(FrameSink& sink) {
    bool any = coming_now_ != 0 && go_on_receiving(sink);
    int in_vain = 0;
    for (int taken = 0; taken < most_at_once && in_vain < looks;) {
        if (look_once(sink)) {
            any = true;
            in_vain = 0;
            ++taken;
        } else {
            ++in_vain;
        }
    }
    return any;
}

std::size_t MpiTransport::peer_with(int rank) const {
    const auto place = static_cast<std::size_t>(rank);
    if (place >= peers_.size() || peers_[place] == ranks_.size()) {
        throw_unknown_message("from rank " + std::to_string(rank));
    }
    return peers_[place];
}

bool MpiTransport::look_once(FrameSink& sink) {
    int flag = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status{};
    const int code =
        MPI_Improbe(MPI_ANY_SOURCE, tag_in_, comm_, &flag, &message, &status);
    if (is_of_failed_ranks(code)) {
        return look_for_failed_ranks(sink);
    }
    mpi_check(code, "MPI_Improbe");
    if (flag == 0) {
        return false;
    }
    int count = 0;
    mpi_check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
    const std::size_t peer = peer_with(status.MPI_SOURCE);
    Coming& coming = coming_[peer];
    if (coming.is_there && coming.received == coming.head.length) {
        // This is the next frame: whoever sends goes on with what it began.
        mpi_check(MPI_Wait(&coming.request, MPI_STATUS_IGNORE), "MPI_Wait");
        end_if_complete(sink, peer);
    }
    if (coming.is_there) {
        take_piece(sink, peer, message, count);
    } else {
        take_message(sink, peer, message, count);
    }
    return true;
}

void MpiTransport::take_message(
    FrameSink& sink, std::size_t peer, MPI_Message& message, int count
) {
    // What does not fit is cut off, and MPI says so.
    mpi_check(
        MPI_Mrecv(
            room_.data(),
            static_cast<int>(room_.size()),
            MPI_BYTE,
            &message,
            MPI_STATUS_IGNORE
        ),
        "MPI_Mrecv"
    );
    const auto size = static_cast<std::size_t>(count);
    MessageHead head;
    if (size < sizeof head) {
        throw_unknown_message("it is too short");
    }
    std::memcpy(&head, room_.data(), sizeof head);
    const std::span<const std::byte> payload =
        std::span(std::as_const(room_)).subspan(sizeof head, size - sizeof head);
    const bool is_long = head.length > longest_short;
    if (head.marked != MessageHead::mark ||
        (is_long ? !payload.empty() : payload.size() != head.length)) {
        throw_unknown_message("its head says what is not so");
    }
    if (!is_long) {
        sink.take(peer, head, payload);
        return;
    }
    Coming& coming = coming_[peer];
    coming.head = head;
    coming.received = 0;
    coming.is_there = true;
    coming.is_dropped = false;
    ++coming_now_;
    try {
        coming.bytes = FrameBytes(head.length);
    } catch (const std::bad_alloc&) {
        coming.is_dropped = true;
    }
}

void MpiTransport::take_piece(
    FrameSink& sink, std::size_t peer, MPI_Message& message, int count
) {
    Coming& coming = coming_[peer];
    const auto size = static_cast<std::size_t>(count);
    if (size == 0 || size > coming.head.length - coming.received) {
        throw_unknown_message("it is no part of the frame before it");
    }
    coming.piece = size;
    if (coming.is_dropped) {
        // All of it is cut off, which is said, and what is wanted.
        MPI_Mrecv(room_.data(), 0, MPI_BYTE, &message, MPI_STATUS_IGNORE);
        coming.received += size;
        end_if_complete(sink, peer);
        return;
    }
    // Whoever sends may do something else before it sends on.
    mpi_check(
        MPI_Imrecv(
            coming.bytes.data() + coming.received,
            count,
            MPI_BYTE,
            &message,
            &coming.request
        ),
        "MPI_Imrecv"
    );
    // The next message of this rank's is the next piece, or another frame.
    coming.received += size;
    if (coming.received < coming.head.length) {
        mpi_check(MPI_Wait(&coming.request, MPI_STATUS_IGNORE), "MPI_Wait");
    }
}

bool MpiTransport::go_on_receiving(FrameSink& sink) {
    bool any = false;
    for (std::size_t peer = 0; peer < coming_.size(); ++peer) {
        Coming& coming = coming_[peer];
        if (coming.request == MPI_REQUEST_NULL) {
            continue;
        }
        int done = 0;
        const int code = MPI_Test(&coming.request, &done, MPI_STATUS_IGNORE);
        if (is_of_failed_ranks(code)) {
            coming.request = MPI_REQUEST_NULL;
            coming.is_there = false;
            --coming_now_;
            continue;
        }
        mpi_check(code, "MPI_Test");
        if (done != 0) {
            any = true;
            end_if_complete(sink, peer);
        }
    }
    return any;
}

void MpiTransport::end_if_complete(FrameSink& sink, std::size_t peer) {
    Coming& coming = coming_[peer];
    if (coming.received < coming.head.length) {
        return;
    }
    coming.is_there = false;
    --coming_now_;
    if (coming.is_dropped) {
        sink.take_none(peer, coming.head);
    } else {
        sink.take_long(peer, coming.head, std::move(coming.bytes), 0);
    }
}

}  // namespace futures::detail
