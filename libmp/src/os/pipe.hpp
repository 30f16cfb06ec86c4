// SPDX-License-Identifier: BSL-1.0
// pipe: one-way byte channels, close-on-exec, whose writer gets an error instead of
// SIGPIPE when nobody reads any more.
#pragma once

#include "mp/fd.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <utility>

namespace mp::os {

/// pipe(2): {reader, writer}.
std::pair<UniqueFd, UniqueFd> make_pipe();

/// writev(2), except that EPIPE comes without SIGPIPE, whatever the program does with
/// that signal. Also for files and sockets. The result and errno are those of writev.
ssize_t write_quietly(int fd, std::span<const iovec> pieces) noexcept;

/// Whether write_quietly takes a single call here (Linux 6.18); true until it is known.
bool kernel_writes_quietly() noexcept;

/// write_quietly for kernels before 6.18, which need three more calls for it.
ssize_t write_with_sigpipe_blocked(int fd, std::span<const iovec> pieces) noexcept;

/// `data` as a piece to write; writev takes what it only reads as non-const.
inline iovec as_piece(std::span<const std::byte> data) noexcept {
    return {.iov_base = const_cast<std::byte*>(data.data()), .iov_len = data.size()};
}

}  // namespace mp::os
