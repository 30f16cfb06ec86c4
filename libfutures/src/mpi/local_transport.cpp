// SPDX-License-Identifier: BSL-1.0
#include "mpi/local_transport.hpp"

#include "mp/detail/bytes.hpp"

namespace futures::detail {

using mp::detail::MutexLock;

std::pair<std::unique_ptr<LocalTransport>, std::unique_ptr<LocalTransport>>
LocalTransport::make_pair(std::shared_ptr<Bell> first, std::shared_ptr<Bell> second) {
    const auto to_first = std::make_shared<Line>(std::move(first));
    const auto to_second = std::make_shared<Line>(std::move(second));
    return {
        std::unique_ptr<LocalTransport>(new LocalTransport(to_first, to_second)),
        std::unique_ptr<LocalTransport>(new LocalTransport(to_second, to_first))};
}

Ticket LocalTransport::send(
    std::size_t /*peer*/, MessageHead head, std::span<const std::byte> payload
) {
    head.length = payload.size();
    FrameBytes bytes(payload.size());
    if (!payload.empty()) {
        mp::detail::copy_block(bytes.data(), payload.data(), payload.size());
    }
    {
        const MutexLock lock(out_->mutex);
        out_->frames.push_back({head, std::move(bytes)});
    }
    out_->bell->ring();
    return nothing_sent;
}

bool LocalTransport::receive(FrameSink& sink) {
    if (arrived_.empty()) {
        const MutexLock lock(in_->mutex);
        arrived_.swap(in_->frames);
    }
    bool any = false;
    while (!arrived_.empty()) {
        // Taken out first: the sink may come here again.
        Arrived frame = std::move(arrived_.front());
        arrived_.pop_front();
        any = true;
        sink.take_long(0, frame.head, std::move(frame.bytes), 0);
    }
    return any;
}

}  // namespace futures::detail
