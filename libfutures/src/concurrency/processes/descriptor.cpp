// SPDX-License-Identifier: BSL-1.0
#include "concurrency/processes/descriptor.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/errors.hpp"

#include <tuple>
#include <utility>

namespace concurrency::detail {

Descriptor::Descriptor(mp::UniqueFd fd)
    : loop_(this_task().loop()), descriptor_(get_executor()) {
    descriptor_->assign(fd.get());
    static_cast<void>(fd.release());
    descriptor_->non_blocking(true);
    loop_.at_end(*this);
}

void Descriptor::check() const {
    const LoopTask& task = this_task();
    if (&task.loop() != &loop_) {
        throw RuntimeError("this stream belongs to another loop");
    }
    if (closed_) {
        throw ClosedResourceError("this end of the stream has been closed");
    }
    task.check_cancelled();
}

Task<> Descriptor::ready(std::shared_ptr<Descriptor> self, Direction direction) {
    const auto [error] = co_await self->descriptor_->async_wait(
        direction, boost::asio::as_tuple(use_task)
    );
    if (self->closed_) {
        throw ClosedResourceError("this end of the stream has been closed");
    }
    if (error) {
        throw boost::system::system_error(error, "waiting for a stream");
    }
}

void Descriptor::close() noexcept {
    if (!std::exchange(closed_, true)) {
        boost::system::error_code ignored;
        static_cast<void>(descriptor_->close(ignored));
    }
}

void Descriptor::loop_ended() noexcept {
    closed_ = true;
    descriptor_.reset();  // its executor may go
}

Descriptor::Use::Use(Descriptor& descriptor) : descriptor_(descriptor) {
    if (descriptor.in_use_) {
        throw BusyResourceError("another task uses this end of the stream");
    }
    descriptor.in_use_ = true;
}

}  // namespace concurrency::detail
