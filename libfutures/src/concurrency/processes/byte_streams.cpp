// SPDX-License-Identifier: BSL-1.0
#include "concurrency/byte_streams.hpp"

#include "concurrency/detail/waiter.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/processes/descriptor.hpp"
#include "os/check.hpp"
#include "os/pipe.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace concurrency {

namespace os = mp::os;
using detail::Descriptor;

namespace {

// However much a caller would take.
constexpr std::ptrdiff_t most_at_once = 1024 * 1024;

Task<std::string>
receive_from(std::shared_ptr<Descriptor> descriptor, std::ptrdiff_t max_bytes) {
    if (max_bytes < 1) {
        throw ValueError("receive() of less than one byte");
    }
    descriptor->check();
    const Descriptor::Use use(*descriptor);
    const auto room = static_cast<std::size_t>(std::min(max_bytes, most_at_once));
    for (;;) {
        std::string data(room, '\0');
        const ssize_t size = os::restarting([&] {
            return ::read(descriptor->fd(), data.data(), data.size());
        });
        if (size >= 0) {
            if (size == 0) {
                throw EndOfStream();
            }
            data.resize(static_cast<std::size_t>(size));
            detail::Passed passed(detail::this_task());
            co_await passed;
            co_return data;
        }
        if (!os::would_block()) {
            os::throw_last_error("reading from a stream");
        }
        data = {};  // no room while it waits
        co_await Descriptor::ready(descriptor, Descriptor::Direction::wait_read);
    }
}

Task<> send_to(std::shared_ptr<Descriptor> descriptor, std::string data) {
    descriptor->check();
    const Descriptor::Use use(*descriptor);
    std::size_t sent = 0;
    while (sent < data.size()) {
        const std::array piece{
            os::as_piece(std::as_bytes(std::span(data).subspan(sent)))};
        const ssize_t size =
            os::restarting([&] { return os::write_quietly(descriptor->fd(), piece); });
        if (size >= 0) {
            sent += static_cast<std::size_t>(size);
        } else if (os::would_block()) {
            co_await Descriptor::ready(descriptor, Descriptor::Direction::wait_write);
        } else if (os::last_error() == std::errc::broken_pipe) {
            throw BrokenResourceError("nobody reads from the stream any more");
        } else {
            os::throw_last_error("writing to a stream");
        }
    }
    detail::Passed passed(detail::this_task());
    co_await passed;
}

}  // namespace

ByteReceiveStream::ByteReceiveStream(std::shared_ptr<Descriptor> descriptor) noexcept
    : descriptor_(std::move(descriptor)) {}

Task<std::string> ByteReceiveStream::receive(std::ptrdiff_t max_bytes) {
    return receive_from(descriptor_, max_bytes);
}

void ByteReceiveStream::close() noexcept {
    descriptor_->close();
}

ByteSendStream::ByteSendStream(std::shared_ptr<Descriptor> descriptor) noexcept
    : descriptor_(std::move(descriptor)) {}

Task<> ByteSendStream::send(std::string data) {
    return send_to(descriptor_, std::move(data));
}

void ByteSendStream::close() noexcept {
    descriptor_->close();
}

}  // namespace concurrency
