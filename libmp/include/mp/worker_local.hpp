// SPDX-License-Identifier: BSL-1.0
// worker_local<T>(): one object of a type in each process, for what a pool's tasks keep
// between them: a connection, a cache, a sum.
// Python:  none; a global variable that an initializer fills.
// Differs: nothing to differ from.
// Threads: any; making the object is synchronised, using it is the program's business.
// Processes: a forked child begins without: it gets an object of its own when it asks
//          for one, and its parent's is neither used nor destroyed there.
#pragma once

#include <memory>
#include <typeinfo>

namespace mp {

namespace detail {

using MakeWorkerLocal = std::shared_ptr<void> (*)();

/// The object of this process and type, made now if there is none.
void* worker_local_object(const std::type_info& type, MakeWorkerLocal make);

/// Destroys them all, the youngest first. One that is asked for afterwards is made
/// anew. One that another's destructor asks for is destroyed again, four times at most;
/// the last one stays.
void destroy_worker_locals() noexcept;

}  // namespace detail

/// The T of this process, default-constructed at the first call. In a pool's worker it
/// lives until the worker ends in order: it is destroyed behind the pool's finalizer,
/// which may still use it, and within the finalizer's time limit. In a worker that is
/// killed, and in any other process, it is not destroyed; nor is, after four times, one
/// that another's destructor makes anew each time.
///
/// Blocks while another thread makes it. Throws what its constructor throws, and then
/// the next call tries again; StateError if that constructor asks for the same object.
template <class T>
T& worker_local() {
    return *static_cast<T*>(detail::worker_local_object(
        typeid(T), []() -> std::shared_ptr<void> { return std::make_shared<T>(); }
    ));
}

}  // namespace mp
