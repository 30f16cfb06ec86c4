// SPDX-License-Identifier: BSL-1.0
// send_handle, recv_handle: a bare descriptor over a Connection.
// Python:  multiprocessing.reduction.send_handle, recv_handle.
// Differs: no destination pid. The receiver's acknowledgement, which CPython has from
//          3.14 on, is an option of both sides: they must agree.
// Threads: as Connection.
// Throws:  std::system_error (EPIPE, EBADMSG: something else came), EOFError.
#pragma once

#include "mp/connection.hpp"
#include "mp/fd.hpp"

namespace mp {

struct HandleOptions {
    bool acknowledge = false;  ///< true when the other side is CPython 3.14 or newer
};

/// Sends a copy of `fd` over a Unix-domain socket, outside of the messages: the other
/// side must be in recv_handle() when it comes. With `acknowledge` blocks until it has
/// arrived.
void send_handle(const Connection& connection, int fd, HandleOptions options = {});

/// Blocks for one descriptor, close-on-exec.
UniqueFd recv_handle(const Connection& connection, HandleOptions options = {});

}  // namespace mp
