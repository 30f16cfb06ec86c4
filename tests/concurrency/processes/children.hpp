// SPDX-License-Identifier: BSL-1.0
// What the tests of child programs have in common.
#pragma once

#include "concurrency/subprocess.hpp"
#include "support/gone.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace test {

/// A file without a name that holds this text, read from its start.
class TextFile {
public:
    explicit TextFile(const std::string& text = {})
        : fd_(::memfd_create("test", MFD_CLOEXEC)) {
        if (fd_ < 0 || ::write(fd_, text.data(), text.size()) < 0) {
            throw std::system_error(errno, std::generic_category(), "memfd");
        }
        ::lseek(fd_, 0, SEEK_SET);
    }

    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;

    ~TextFile() { ::close(fd_); }

    int fd() const { return fd_; }

    std::string text() const {
        std::array<char, 4096> room{};
        const ssize_t size = ::pread(fd_, room.data(), room.size(), 0);
        return {room.data(), static_cast<std::size_t>(size < 0 ? 0 : size)};
    }

private:
    int fd_;
};

/// All that comes until the end of the stream.
inline concurrency::Task<std::string> rest_of(concurrency::ByteReceiveStream stream) {
    std::string text;
    try {
        for (;;) {
            text += co_await stream.receive();
        }
    } catch (const concurrency::EndOfStream&) {
        // That is all.
    }
    co_return text;
}

/// What comes up to the end of a line, without that.
inline concurrency::Task<std::string> line_of(concurrency::ByteReceiveStream stream) {
    std::string line;
    for (;;) {
        const std::string byte = co_await stream.receive(1);
        if (byte == "\n") {
            break;
        }
        line += byte;
    }
    co_return line;
}

/// A child that says that it is ready and then waits for ever, whatever it is sent that
/// can be ignored.
inline const char* const stubborn = "trap '' TERM; echo ready; exec sleep 10000";

inline bool is_gone_soon(pid_t pid) {
    using namespace std::chrono_literals;
    return gone_within({pid}, 1000ms);
}

}  // namespace test
