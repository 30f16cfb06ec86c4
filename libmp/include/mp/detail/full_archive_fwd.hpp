// SPDX-License-Identifier: BSL-1.0
// What OutArchive and InArchive need of the full archive, without its headers: a
// message that has no pointers never makes one.
// Python:  pickle.Pickler.memo and pickle.Unpickler.memo: objects that are met twice.
#pragma once

#include "mp/detail/bytes.hpp"

#include <boost/serialization/library_version_type.hpp>

#include <memory>
#include <typeinfo>

namespace mp::detail {

class FullOut;
class FullIn;

/// What pointers need. Defined in <mp/serialization.hpp>: a compiler that finds this
/// incomplete asks for that header, where the pointer is archived.
template <class T>
struct PointersNeedTheHeaderMpSerialization;

struct DeleteFull {
    void operator()(FullOut* full) const noexcept;
    void operator()(FullIn* full) const noexcept;
};

std::unique_ptr<FullOut, DeleteFull> make_full(ByteWriter& out);
std::unique_ptr<FullIn, DeleteFull> make_full(ByteReader& in);
void save_tracked(FullOut& full, const void* object, const std::type_info& type);
void load_tracked(FullIn& full, void* object, const std::type_info& type);
void note_move(FullIn& full, const void* to, const void* from);

/// Of Boost's archives in this program.
boost::serialization::library_version_type library_version();

}  // namespace mp::detail
