"""Mounts: stored and listed, nothing more."""
from . import procedure


@procedure("mounts.create")
def mounts_create(dokploy, sent, lies):
    kind = sent.get("serviceType", "application")
    row = {
        "mountId": dokploy.state.new_id(), "hostPath": None, "volumeName": None, "filePath": None,
        "content": None, "applicationId": None, "composeId": None, **sent, "serviceType": kind,
    }
    row[f"{kind}Id"] = row.pop("serviceId")
    dokploy.state.mounts[row["mountId"]] = row
    return row


@procedure("mounts.update")
def mounts_update(dokploy, sent, lies):
    row = dokploy.state.get("mounts", sent["mountId"], "Mount")
    row.update(sent)
    return row


@procedure("mounts.remove")
def mounts_remove(dokploy, sent, lies):
    row = dokploy.state.get("mounts", sent["mountId"], "Mount")
    del dokploy.state.mounts[row["mountId"]]
    return row


@procedure("mounts.one")
def mounts_one(dokploy, sent, lies):
    return dokploy.state.get("mounts", sent["mountId"], "Mount")


@procedure("mounts.listByServiceId")
def mounts_list(dokploy, sent, lies):
    return dokploy.state.where("mounts", **{f"{sent['serviceType']}Id": sent["serviceId"]})


@procedure("mounts.allNamedByApplicationId")
def mounts_named(dokploy, sent, lies):
    mounts = dokploy.state.where("mounts", applicationId=sent["applicationId"], type="volume")
    return [{"Type": "volume", "Name": row["volumeName"], "Destination": row["mountPath"]} for row in mounts]
