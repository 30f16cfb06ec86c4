// SPDX-License-Identifier: BSL-1.0
// Exceptions as data: thrown in one process, rethrown in another.
// Python:  multiprocessing.pool.ExceptionWithTraceback and RemoteTraceback.
// Differs: std's and mp's types, and registered ones, are rebuilt as themselves; any
//          other arrives as RemoteError with its type's name, and never breaks a pool.
// Threads: any.
#pragma once

#include "mp/detail/bytes.hpp"
#include "mp/detail/exception_type.hpp"
#include "mp/errors.hpp"

#include <exception>
#include <string>
#include <string_view>
#include <system_error>

namespace mp {

/// From now on, exceptions of exactly this type arrive as E. E has either serialize()
/// and a default constructor, or a constructor from std::string, which then gets
/// what(), or is a plain struct. Call it in both processes, best where E is defined:
/// `const bool known = (mp::register_exception<ParseError>(), true);`
template <class E>
void register_exception() {
    detail::list_exception_type(detail::exception_type<E>());
}

/// From now on, std::system_error with codes of this category arrives with an equal
/// code. The generic, system, iostream and future categories need no such call. Two
/// categories of one name cannot be told apart: the first one registered wins.
void register_error_category(const std::error_category& category);

namespace detail {

/// Longer texts are cut, and say so.
inline constexpr std::size_t longest_what = 64UL * 1024;
/// Deeper nested causes are left out, and the last one says so.
inline constexpr std::size_t deepest_cause = 50;

/// Appends `error` as data: type, text, error code, nested causes. `where` says in the
/// receiver's error which process this was ("ForkPoolWorker-2, pid 4711"); without it,
/// the pid does. A what() that returns nullptr counts as empty. If the exception's own
/// serialize() throws, it arrives as RemoteError. Throws only std::bad_alloc, and
/// std::invalid_argument for a null `error`.
void encode_exception(
    ByteWriter& out, const std::exception_ptr& error, std::string_view where = {}
);

/// A new exception object for what encode_exception() wrote. It is of its own type
/// where that is known here, else a RemoteError; nested in it is a RemoteError whose
/// what() tells where it was thrown and with which causes, and in that the causes
/// themselves. Throws SerializationError if the bytes are none of encode_exception()'s.
std::exception_ptr decode_exception(ByteReader& in);

/// "std::runtime_error: text", and a line for each nested cause: for logs and reports.
std::string describe_exception(const std::exception_ptr& error);

}  // namespace detail

}  // namespace mp
